"""Encode a photo and its mask to the bytes that a shard holds, and decode these bytes."""

import io
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookcast.data.sources.base import DecodedPhoto
from lookcast.ops.masks import PALETTE
from lookcast.photos.photo import CODEC_ERRORS

Format = Literal["npy", "jpg", "png"]
"""Format of the encoded pixels.

`npy` is lossless and fast; `jpg` is small; `png` is lossless, half as large as `npy`, and slow to read.
"""
MASK_SUFFIX = "mask.png"  # the library webdataset uses the text after the first dot as a column name

_COLORS = bytes(level for _, rgb in PALETTE for level in rgb)
_BROKEN = (*CODEC_ERRORS, Image.DecompressionBombError)
# The header that `np.save` writes for these pixels. numpy's own reader allocates the claimed size before it reads, and
# parses the header as Python, which fails with errors of any type.
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\0..\{'descr': '\|u1', 'fortran_order': False, "
    rb"'shape': \(([1-9]\d{0,8}), ([1-9]\d{0,8}), 3\), \} *\n",
    re.DOTALL,
)


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
        photo = _decode_npy(pixels) if format == "npy" else _decode_image(pixels, format)
        mask = None if labels is None else _decode_labels(labels, photo.shape[:2])
    except _BROKEN as error:
        raise ValueError(" ".join(str(error).split())) from error
    return DecodedPhoto(photo, mask)


def _decode_npy(data: bytes | memoryview) -> npt.NDArray[np.uint8]:
    header = _NPY_HEADER.match(data)
    if header is None:
        raise ValueError("holds no array of (H, W, 3) of uint8")
    height, width = int(header[1]), int(header[2])
    stored = np.frombuffer(data, np.uint8, offset=header.end())
    if stored.size != height * width * 3:
        raise ValueError(f"holds {stored.size} bytes of pixels, its header states {height} x {width} x 3")
    return stored.reshape(height, width, 3).copy()  # a copy, because the bytes can't be written


def _decode_image(data: bytes | memoryview, format: Format) -> npt.NDArray[np.uint8]:
    # For such small photos, Pillow is faster than libvips.
    with Image.open(io.BytesIO(data), formats=("JPEG" if format == "jpg" else "PNG",)) as image:
        if image.mode != "RGB":
            raise ValueError(f"has mode {image.mode}, expected RGB")
        return np.array(image)


def _decode_labels(data: bytes | memoryview, size: Sequence[int]) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.mode != "P":
            raise ValueError(f"its mask has mode {image.mode}, expected a palette (mode P)")
        if (image.height, image.width) != tuple(size):
            raise ValueError(f"its mask has {image.width}x{image.height} pixels, expected {size[1]}x{size[0]}")
        labels = np.array(image)
    if labels.max() >= len(PALETTE):
        raise ValueError(f"its mask has labels up to {labels.max()}, expected at most {len(PALETTE) - 1}")
    return labels
