"""Addresses of photos, their previews and their masks."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from lookcast import __version__, examples
from lookcast.ops.masks import PALETTE
from lookcast.photos.photo import to_8_bits
from lookcast.web.photos import StoredPhoto, plain_name
from lookcast.web.pixels import encode_exactly, encode_preview
from lookcast.web.refusals import Refusal, not_found
from lookcast.web.service import OwnVisit, Service, ServiceArgument, VisitOrNew, photo_of
from lookcast.web.uploads import forget_file, receive_file
from lookcast.web.visits import Visit, new_id

router = APIRouter(prefix="/api")

Name = Annotated[str, Query(max_length=1000)]
Side = Annotated[int, Query(ge=16, le=2048)]
Start = Annotated[int, Query(ge=0)]
Length = Annotated[int, Query(ge=1)]
KEEP = {"Cache-Control": "private, max-age=3600, immutable"}
"""Headers of pictures that never change. Only the visitor's own browser may keep them."""


@router.get("/settings")
async def settings(service: ServiceArgument, visit: VisitOrNew) -> dict[str, object]:
    """Return what the page needs to know, and start a visit."""
    limits = service.limits
    return {
        "version": __version__,
        "limits": {
            "upload_bytes": limits.upload_bytes,
            "max_pixels": limits.max_pixels,
            "preview_side": limits.preview_side,
            "crop_side": limits.crop_side,
            "photos": limits.photos,
            "batch_photos": limits.batch_photos,
        },
        "checkpoints": service.looks.names,
        "single_looks": service.looks.single_looks,
        "mask_colors": [{"name": name, "rgb": rgb} for name, rgb in PALETTE],
        "refine_max": limits.refine,
        "examples": {"contents": sorted(examples.contents()), "styles": sorted(examples.styles())},
    }


@router.delete("/visit", status_code=204)
async def end_visit(service: ServiceArgument, visit: OwnVisit, response: Response) -> None:
    """End the visit, and delete its photos, also those in the browser's cache."""
    response.headers["Clear-Site-Data"] = '"cache", "cookies"'
    service.in_background(service.visits.end(visit))  # it waits for this request


@router.post("/photos")
async def add_photo(service: ServiceArgument, request: Request, visit: VisitOrNew, name: Name) -> dict[str, object]:
    """Take a photo. The body is the file."""
    _check_count(service, visit)
    path = await receive_file(request, service.visits, visit)
    return await _add(service, request, visit, plain_name(name), path)


@router.post("/photos/example")
async def add_example(
    service: ServiceArgument, request: Request, visit: VisitOrNew, name: Name, kind: Literal["contents", "styles"]
) -> dict[str, object]:
    """Take a photo that ships with lookcast."""
    _check_count(service, visit)
    source = _example(kind, name)
    path = visit.new_file()
    await asyncio.to_thread(path.write_bytes, source.read_bytes())
    visit.stored += path.stat().st_size
    return await _add(service, request, visit, source.name, path)


@router.get("/examples/{kind}/{name}")
async def example_preview(
    service: ServiceArgument, request: Request, kind: Literal["contents", "styles"], name: str, side: Side = 256
) -> Response:
    """Return a small picture of a photo that ships with lookcast."""
    source = _example(kind, name)
    data, media = await service.workers.run(request, service.reader.example_preview, source, side)
    return Response(data, media_type=media, headers={"Cache-Control": "public, max-age=86400"})


@router.delete("/photos/{key}", status_code=204)
async def delete_photo(service: ServiceArgument, visit: OwnVisit, key: str) -> None:
    """Delete a photo, and the results that change it."""
    photo = photo_of(visit, key)
    del visit.photos[key]
    visit.results = {other: result for other, result in visit.results.items() if result.content is not photo}
    service.reader.cache.drop(key)
    forget_file(visit, photo.path)


@router.get("/photos/{key}/preview")
async def photo_preview(
    service: ServiceArgument, request: Request, visit: OwnVisit, key: str, side: Side = 1024
) -> Response:
    """Return a photo in a size for the screen."""
    photo = photo_of(visit, key)
    data, media = await service.workers.run(request, lambda: encode_preview(service.reader.preview(photo, side)))
    return Response(data, media_type=media, headers=KEEP)


@router.get("/photos/{key}/crop")
async def photo_crop(
    service: ServiceArgument, request: Request, visit: OwnVisit, key: str, x: Start, y: Start, w: Length, h: Length
) -> Response:
    """Return a part of a photo at full size."""
    photo = photo_of(visit, key)
    left, top, right, bottom = box_of(service, photo, x, y, w, h)

    def encode() -> bytes:
        return encode_exactly(to_8_bits(service.reader.open(photo).srgb[top:bottom, left:right]))

    return Response(await service.workers.run(request, encode), media_type="image/png", headers=KEEP)


def box_of(service: Service, photo: StoredPhoto, x: int, y: int, w: int, h: int) -> tuple[int, int, int, int]:
    """Return the edges of a crop: left, top, right, bottom.

    Raises:
        Refusal: the crop is too large, or is not inside the photo.
    """
    largest = service.limits.crop_side
    if max(w, h) > largest:
        raise Refusal(422, f"w, h: expected at most {largest} pixels, got {w}x{h}")
    if x + w > photo.width or y + h > photo.height:
        raise Refusal(422, f"x, y, w, h: the crop {w}x{h}+{x}+{y} is not inside {photo.width}x{photo.height} pixels")
    return x, y, x + w, y + h


def _check_count(service: Service, visit: Visit) -> None:
    if len(visit.photos) >= service.limits.photos:
        raise Refusal(413, f"this visit holds {len(visit.photos)} photos; delete some first")


async def _add(service: Service, request: Request, visit: Visit, name: str, path: Path) -> dict[str, object]:
    key = new_id()
    try:
        photo = await service.workers.run(request, service.reader.add, key, name, path)
    except BaseException:
        service.reader.cache.drop(key)
        forget_file(visit, path)
        raise
    visit.photos[key] = photo
    return photo.describe()


def _example(kind: str, name: str) -> Path:
    known = examples.contents() if kind == "contents" else examples.styles()
    if name not in known:
        raise not_found("example")
    return known[name]
