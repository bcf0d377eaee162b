"""Encode a photo and its mask to the bytes that a shard holds, and decode these bytes."""

import io
import struct
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookcast.data.sources.base import DecodedPhoto
from lookcast.ops.masks import PALETTE

Format = Literal["npy", "jpg", "png"]
"""Format of the encoded pixels.

`npy` is lossless and fast; `jpg` is small; `png` is lossless, half as large as `npy`, and slow to read.
"""
MASK_SUFFIX = "mask.png"  # the library webdataset uses the text after the first dot as a column name

_COLORS = bytes(level for _, rgb in PALETTE for level in rgb)
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error)


def encode_pixels(pixels: npt.NDArray[np.uint8], format: Format, quality: int) -> bytes:
    """Encode pixels `(H, W, 3)`. `quality` is used for JPEG only; JPEG is written without chroma subsampling."""
    file = io.BytesIO()
    if format == "npy":
        np.save(file, pixels, allow_pickle=False)
    elif format == "png":
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)  # higher levels save only 2 %
    else:
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def encode_labels(labels: npt.NDArray[np.uint8]) -> bytes:
    """Encode labels `(H, W)` as a PNG with a palette. The pixels are the labels, the palette is the nine colours."""
    image = Image.fromarray(labels).convert("P")
    image.putpalette(_COLORS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def decode(pixels: bytes | memoryview, labels: bytes | memoryview | None, format: Format) -> DecodedPhoto:
    """Decode the results of `encode_pixels` and `encode_labels`.

    Raises:
        ValueError: the bytes do not come from these functions.
    """
    try:
        photo = _decode_pixels(pixels, format)
        mask = None if labels is None else _decode_labels(labels)
    except _BROKEN as error:
        raise ValueError(" ".join(str(error).split())) from error
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"holds {photo.shape} of {photo.dtype}, expected (H, W, 3) of uint8")
    if mask is not None and (mask.shape != photo.shape[:2] or mask.max() >= len(PALETTE)):
        raise ValueError(f"its mask of {mask.shape} with labels up to {mask.max()} does not fit {photo.shape[:2]}")
    return DecodedPhoto(photo, mask)


def _decode_pixels(data: bytes | memoryview, format: Format) -> npt.NDArray[np.uint8]:
    file = io.BytesIO(data)
    if format == "npy":
        stored: npt.NDArray[np.uint8] = np.load(file, allow_pickle=False)
        return stored
    # For such small photos, Pillow is faster than libvips.
    with Image.open(file, formats=("JPEG" if format == "jpg" else "PNG",)) as image:
        return np.array(image)


def _decode_labels(data: bytes | memoryview) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.mode != "P":
            raise ValueError(f"its mask has mode {image.mode}, expected a palette (mode P)")
        return np.array(image)
