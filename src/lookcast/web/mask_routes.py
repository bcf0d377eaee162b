"""Addresses of masks: found automatically, or drawn by the visitor."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import torch
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from lookcast.ops.masks import PALETTE, check_aspect
from lookcast.photos.masks import read_mask
from lookcast.segmenters.auto_masks import AutoMasks
from lookcast.web.looks import Looks
from lookcast.web.photos import PhotoReader, StoredPhoto, naming
from lookcast.web.refusals import not_found
from lookcast.web.service import OwnVisit, ServiceArgument, photo_of
from lookcast.web.uploads import forget_file, receive_file

router = APIRouter(prefix="/api")

_PNG_LEVEL = 6
_COLORS = np.array([rgb for _, rgb in PALETTE], np.uint8)


class PairChoice(BaseModel):
    """The body of `POST masks/auto`: ids of a content and of a style photo."""

    model_config = ConfigDict(extra="forbid", strict=True)
    content: str
    style: str


@router.post("/masks/auto")
async def find_masks(service: ServiceArgument, request: Request, visit: OwnVisit, choice: PairChoice) -> dict[str, str]:
    """Find the regions of two photos, and store them as the masks of the photos."""
    content, style = photo_of(visit, choice.content), photo_of(visit, choice.style)
    content.mask, style.mask = await service.workers.run(request, _find, service.reader, service.looks, content, style)
    return {"content": _address(content), "style": _address(style)}


@router.put("/photos/{key}/mask")
async def put_mask(service: ServiceArgument, request: Request, visit: OwnVisit, key: str) -> dict[str, str]:
    """Take a mask in the nine colours. The body is the file."""
    photo = photo_of(visit, key)
    path = await receive_file(request, service.visits, visit)
    try:
        photo.mask = await service.workers.run(request, _read, path, photo, service.limits.max_pixels)
    finally:
        forget_file(visit, path)
    return {"mask": _address(photo)}


@router.get("/photos/{key}/mask")
async def get_mask(service: ServiceArgument, request: Request, visit: OwnVisit, key: str) -> Response:
    """Return the mask of a photo as PNG in the nine colours."""
    photo = photo_of(visit, key)
    if photo.mask is None:
        raise not_found("mask")
    data = await service.workers.run(request, _encode, photo.mask)
    return Response(data, media_type="image/png")


@router.delete("/photos/{key}/mask", status_code=204)
async def delete_mask(visit: OwnVisit, key: str) -> None:
    """Forget the mask of a photo."""
    photo_of(visit, key).mask = None


def _find(
    reader: PhotoReader, looks: Looks, content: StoredPhoto, style: StoredPhoto
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels `(h, w)` of the regions of two photos. Equal labels stand for corresponding regions."""
    found: dict[str, Any] = AutoMasks(looks.open_segmenter(), [reader.style_pixels(style)])(reader.open(content).srgb)
    masks = found["content_mask"][0], found["style"][0].mask
    return masks[0].argmax(1)[0].to(torch.uint8), masks[1].argmax(1)[0].to(torch.uint8)


def _read(path: Path, photo: StoredPhoto, max_pixels: int) -> torch.Tensor:
    with naming(path, "mask"):
        labels = read_mask(path, max_pixels=max_pixels)
    check_aspect("mask", (labels.shape[0], labels.shape[1]), (photo.height, photo.width))
    return labels


def _encode(labels: torch.Tensor) -> bytes:
    colors: npt.NDArray[np.uint8] = _COLORS[labels.numpy()]
    return bytes(imagecodecs.png_encode(colors, _PNG_LEVEL))


def _address(photo: StoredPhoto) -> str:
    return f"/api/photos/{photo.id}/mask"
