"""Addresses of batches."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from lookcast.web.batches import Batch, NamedFile, distinct_name, zipped
from lookcast.web.photo_routes import Name
from lookcast.web.photos import plain_name
from lookcast.web.refusals import Refusal, not_found
from lookcast.web.result_routes import LookChoice
from lookcast.web.results import with_styles
from lookcast.web.service import OwnVisit, ServiceArgument
from lookcast.web.uploads import forget_file, receive_file
from lookcast.web.visits import Visit

router = APIRouter(prefix="/api/batches")

_MAX_BATCHES = 20


class BatchChoice(LookChoice):
    """The body of `POST batches`."""

    strength: float = Field(1.0, ge=0, le=1)


@router.post("")
async def add_batch(service: ServiceArgument, request: Request, visit: OwnVisit, choice: BatchChoice) -> dict[str, str]:
    """Begin a batch: choose its look. The photos follow."""
    if len(visit.batches) >= _MAX_BATCHES:
        raise Refusal(413, f"this visit holds {len(visit.batches)} batches; delete some first")
    look = choice.wanted(service, visit)
    await service.workers.run(request, with_styles, service.reader, service.looks, look)  # refuses a wrong look early
    batch = Batch(look, choice.strength)
    visit.batches[batch.id] = batch
    return {"id": batch.id}


@router.get("")
async def list_batches(visit: OwnVisit) -> dict[str, list[dict[str, Any]]]:
    """Return all batches of the visit, oldest first."""
    return {"batches": [batch.describe() for batch in visit.batches.values()]}


@router.post("/{key}/photos")
async def add_photo(
    service: ServiceArgument, request: Request, visit: OwnVisit, key: str, name: Name
) -> dict[str, object]:
    """Take a photo of a batch. The body is the file."""
    batch = _batch_of(visit, key)
    _check_waiting(batch)
    if sum(other.total for other in visit.batches.values()) >= service.limits.batch_photos:
        raise Refusal(413, f"the batches of a visit have at most {service.limits.batch_photos} photos")
    path = await receive_file(request, service.visits, visit)
    if batch.state != "waiting":  # it was started during the upload
        forget_file(visit, path)
        _check_waiting(batch)
    chosen = distinct_name(plain_name(name), {photo.name.lower() for photo in batch.photos})
    batch.photos.append(NamedFile(chosen, path))
    batch.total += 1
    return {"name": chosen, "total": batch.total}


@router.post("/{key}/start")
async def start(service: ServiceArgument, visit: OwnVisit, key: str) -> dict[str, Any]:
    """Stylize the photos of a batch, in the background."""
    batch = _batch_of(visit, key)
    _check_waiting(batch)
    if not batch.photos:
        raise Refusal(422, "photos: a batch needs at least one photo")
    batch.state = "running"
    service.in_background(batch.run(service, visit))
    return batch.describe()


@router.get("/{key}")
async def describe(visit: OwnVisit, key: str) -> dict[str, Any]:
    """Return the progress of a batch."""
    return _batch_of(visit, key).describe()


@router.get("/{key}/zip")
async def download(visit: OwnVisit, key: str) -> StreamingResponse:
    """Return the stylized photos of a batch as one zip file."""
    batch = _batch_of(visit, key)
    if batch.state != "done":
        raise Refusal(422, f"batch: {batch.describe()['done']} of {batch.total} photos are done; wait for the rest")
    if not batch.written:
        raise Refusal(422, "batch: every photo failed, so there is nothing to download")
    headers = {"Content-Disposition": 'attachment; filename="lookcast.zip"'}
    return StreamingResponse(zipped(list(batch.written)), media_type="application/zip", headers=headers)


@router.delete("/{key}", status_code=204)
async def delete(service: ServiceArgument, visit: OwnVisit, key: str) -> None:
    """Stop a batch, and delete its photos."""
    batch = _batch_of(visit, key)
    del visit.batches[key]
    batch.stop()
    while batch.state == "running":
        await asyncio.sleep(0.05)
    for file in [*batch.photos, *batch.written]:
        forget_file(visit, file.path)


def _batch_of(visit: Visit, key: str) -> Batch:
    if key not in visit.batches:
        raise not_found("batch")
    return visit.batches[key]


def _check_waiting(batch: Batch) -> None:
    if batch.state != "waiting":
        raise Refusal(422, f"batch: it is {batch.state} already")
