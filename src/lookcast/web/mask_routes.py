"""Addresses of masks: found automatically, or drawn by the visitor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import torch
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from lookcast.ops.masks import NUM_LABELS, PALETTE, check_aspect
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


class PhotoChoice(BaseModel):
    """The body of `POST masks/auto`: ids of a content photo and of style photos."""

    model_config = ConfigDict(extra="forbid", strict=True)
    content: str
    styles: list[str] = Field(min_length=1, max_length=16)


@router.post("/masks/auto")
async def find_masks(
    service: ServiceArgument, request: Request, visit: OwnVisit, choice: PhotoChoice
) -> dict[str, str | list[str]]:
    """Find the regions of photos, and store them as the masks of the photos."""
    content, styles = photo_of(visit, choice.content), [photo_of(visit, key) for key in choice.styles]
    labels = await service.workers.run(request, _find, service.reader, service.looks, content, styles)
    for photo, mask in zip((content, *styles), labels, strict=True):
        photo.mask = mask
    return {"content": _address(content), "styles": [_address(style) for style in styles]}


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


def _find(reader: PhotoReader, looks: Looks, content: StoredPhoto, styles: Sequence[StoredPhoto]) -> list[torch.Tensor]:
    """Return labels `(h, w)` of the regions of the content and of each style. Equal labels stand for equal regions.

    The segmenter compares the content with one style at a time. The regions of the content are those of the first
    style, and a region of a further style gets the label of the region of the content that it covers most of.
    """
    masks = AutoMasks(looks.open_segmenter(), [reader.style_pixels(style) for style in styles])
    found: dict[str, Any] = masks(reader.open(content).srgb)
    contents = [_labels(mask) for mask in found["content_mask"]]
    first, *others = (_labels(style.mask) for style in found["style"])
    pairs = zip(others, contents[1:], strict=True)
    return [contents[0], first, *(_relabelled(style, content, contents[0]) for style, content in pairs)]


def _labels(mask: torch.Tensor) -> torch.Tensor:
    return mask.argmax(1)[0].to(torch.uint8)


def _relabelled(style: torch.Tensor, content: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Give the regions of a style the labels that the same regions of the content have in another mask.

    Args:
        style: labels of the style, `(h, w)` uint8.
        content: labels of the content that belong to those of the style, `(H, W)` uint8.
        wanted: the other labels of the content, `(H, W)` uint8.
    """
    pairs = content.flatten().long() * NUM_LABELS + wanted.flatten()
    shared = pairs.bincount(minlength=NUM_LABELS**2).view(NUM_LABELS, NUM_LABELS)
    table = shared.argmax(1)
    # Regions that only the style has share a label that the content does not have.
    table[shared.sum(1) == 0] = shared.sum(0).argmin()
    return table[style.long()].to(torch.uint8)


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
