"""Addresses of results, their pictures and their files."""

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from lookcast.checks import check_integer
from lookcast.web import results
from lookcast.web.lines import command_line, python_lines
from lookcast.web.photo_routes import KEEP, Length, Side, Start, box_of
from lookcast.web.pixels import encode_exactly, encode_preview
from lookcast.web.refusals import not_found
from lookcast.web.results import SUFFIXES, MaskChoice, Result, WantedLook
from lookcast.web.service import OwnVisit, Service, ServiceArgument, photo_of, scratch_file
from lookcast.web.visits import Visit

router = APIRouter(prefix="/api/results")

Strength = Annotated[float, Query(ge=0, le=1)]


class StyleChoice(BaseModel):
    """A style photo of the visit, and its weight."""

    model_config = ConfigDict(extra="forbid", strict=True)
    id: str
    weight: float = 1.0


class LookChoice(BaseModel):
    """The body of a request for a look: see `results.WantedLook`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    styles: list[StyleChoice] = Field(default_factory=list, max_length=16)
    use_masks: MaskChoice = False
    refine: int = Field(0, ge=0)
    checkpoint: str | None = None

    def wanted(self, service: Service, visit: Visit) -> WantedLook:
        """Return the look with the photos of the visit.

        Raises:
            Refusal: a photo is not in this visit.
            InputError: there are too many steps.
        """
        check_integer("refine", self.refine, 0, service.limits.refine)
        styles = tuple((photo_of(visit, style.id), style.weight) for style in self.styles)
        checkpoint = service.looks.names[0] if self.checkpoint is None else self.checkpoint
        return WantedLook(styles, self.use_masks, self.refine, checkpoint)


class ResultChoice(LookChoice):
    """The body of `POST results`."""

    content: str


@router.post("")
async def add_result(
    service: ServiceArgument, request: Request, visit: OwnVisit, choice: ResultChoice
) -> dict[str, object]:
    """Predict the look of a photo."""
    content, look = photo_of(visit, choice.content), choice.wanted(service, visit)
    run = service.workers.run_long if look.refine else service.workers.run
    result = await run(request, results.predict, service.reader, service.looks, content, look)
    if visit.photos.get(content.id) is not content:
        raise not_found("photo")  # it was deleted in the meantime
    visit.results[result.id] = result
    while len(visit.results) > service.limits.results:
        del visit.results[next(iter(visit.results))]
    return {
        "id": result.id,
        "width": content.width,
        "height": content.height,
        "seconds": result.seconds,
        "command": command_line(service.looks, result),
        "python": python_lines(service.looks, result),
    }


@router.get("/{key}/lines")
async def lines(
    service: ServiceArgument,
    visit: OwnVisit,
    key: str,
    strength: Strength = 1.0,
    format: Literal["jpeg", "png", "tiff", "webp"] = "jpeg",
) -> dict[str, str]:
    """Return the command line and the Python lines that give the same file."""
    result, suffix = _result_of(visit, key), SUFFIXES[format]
    return {
        "command": command_line(service.looks, result, strength, suffix),
        "python": python_lines(service.looks, result, strength, suffix),
    }


@router.get("/{key}/preview")
async def preview(
    service: ServiceArgument, request: Request, visit: OwnVisit, key: str, side: Side = 1024, strength: Strength = 1.0
) -> Response:
    """Return the stylized photo in a size for the screen."""
    result = _result_of(visit, key)
    data, media = await service.workers.run(
        request, lambda: encode_preview(results.preview(service.reader, result, side, strength))
    )
    return Response(data, media_type=media, headers=KEEP)


@router.get("/{key}/crop")
async def crop(
    service: ServiceArgument,
    request: Request,
    visit: OwnVisit,
    key: str,
    x: Start,
    y: Start,
    w: Length,
    h: Length,
    strength: Strength = 1.0,
) -> Response:
    """Return a part of the stylized photo at full size."""
    result = _result_of(visit, key)
    box = box_of(service, result.content, x, y, w, h)
    data = await service.workers.run(
        request, lambda: encode_exactly(results.crop(service.reader, result, box, strength))
    )
    return Response(data, media_type="image/png", headers=KEEP)


@router.get("/{key}/download")
async def download(
    service: ServiceArgument,
    request: Request,
    visit: OwnVisit,
    key: str,
    format: Literal["jpeg", "png", "tiff", "webp"] = "jpeg",
    strength: Strength = 1.0,
) -> Response:
    """Return the stylized photo as a file, at full size and with its metadata."""
    result = _result_of(visit, key)

    def write(path: Path) -> None:
        results.write_full(service.reader, result, path, strength)

    path = await scratch_file(request, service, visit, SUFFIXES[format], write)
    name = f"{results.stem_of(result)}{SUFFIXES[format]}"
    return FileResponse(path, media_type=f"image/{format}", filename=name)


@router.get("/{key}/lut")
async def lut(
    service: ServiceArgument,
    request: Request,
    visit: OwnVisit,
    key: str,
    format: Literal["cube", "hald"] = "cube",
    strength: Strength = 1.0,
) -> Response:
    """Return the look as a colour table for other programs."""
    result = _result_of(visit, key)
    suffix, stem = ".cube" if format == "cube" else ".png", results.stem_of(result)

    def write(path: Path) -> None:
        results.write_lut(service.reader, result, path, stem, strength)

    path = await scratch_file(request, service, visit, suffix, write, long=True)
    media = "text/plain" if format == "cube" else "image/png"
    return FileResponse(path, media_type=media, filename=f"{stem}{suffix}")


def _result_of(visit: Visit, key: str) -> Result:
    if key not in visit.results:
        raise not_found("result")
    return visit.results[key]
