"""A photo and its mask as bytes of a shard, and back."""

import io
import struct

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookcast.checks import InputError
from lookcast.data.decoded import DecodedPhoto
from lookcast.ops.masks import PALETTE

KINDS = ("npy", "jpg", "png")
"""How pixels are stored: as they are, small, or exact and half as large but slow to read."""
QUALITY = 95
"""Of JPEG: its pixels are off by a level or two."""

MASK_SUFFIX = "mask.png"  # webdataset takes what follows the first dot for the name of a column
_COLORS = bytes(level for _, rgb in PALETTE for level in rgb)
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error)


def check_encoding(kind: str, quality: int) -> None:
    """Refuse what can't be written.

    Raises:
        InputError: an unknown format, or a quality outside 1 to 100.
    """
    if kind not in KINDS:
        raise InputError(f"format: {kind} is unknown; there are {', '.join(KINDS)}")
    if not 1 <= quality <= 100:
        raise InputError(f"quality: expected 1 to 100, got {quality}")


def encode_pixels(pixels: npt.NDArray[np.uint8], kind: str, quality: int = QUALITY) -> bytes:
    """`(H, W, 3)` as a file of this kind; `quality` is of JPEG, whose colours keep their resolution."""
    file = io.BytesIO()
    if kind == "npy":
        np.save(file, pixels, allow_pickle=False)
    elif kind == "png":
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)  # the higher ones take 2 % less
    else:
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def encode_labels(labels: npt.NDArray[np.uint8]) -> bytes:
    """`(H, W)` as a PNG whose palette is the nine colours: labels to a program, colours to the eye."""
    image = Image.fromarray(labels).convert("P")
    image.putpalette(_COLORS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def decode_member(pixels: bytes | memoryview, labels: bytes | memoryview | None, kind: str) -> DecodedPhoto:
    """The inverse of `encode_pixels` and `encode_labels`.

    Raises:
        ValueError: not what these wrote.
    """
    try:
        photo = _decode_pixels(pixels, kind)
        mask = None if labels is None else _decode_labels(labels)
    except _BROKEN as error:
        raise ValueError(" ".join(str(error).split())) from error
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"holds {photo.shape} of {photo.dtype}, expected (H, W, 3) of uint8")
    if mask is not None and (mask.shape != photo.shape[:2] or mask.max() >= len(PALETTE)):
        raise ValueError(f"its mask of {mask.shape} with labels up to {mask.max()} does not fit {photo.shape[:2]}")
    return DecodedPhoto(photo, mask)


def _decode_pixels(data: bytes | memoryview, kind: str) -> npt.NDArray[np.uint8]:
    file = io.BytesIO(data)
    if kind == "npy":
        stored: npt.NDArray[np.uint8] = np.load(file, allow_pickle=False)
        return stored
    # Pillow: for photos as small as these it is faster than libvips.
    with Image.open(file, formats=("JPEG" if kind == "jpg" else "PNG",)) as image:
        return np.array(image)


def _decode_labels(data: bytes | memoryview) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.mode != "P":
            raise ValueError(f"its mask is {image.mode}, expected a palette")
        return np.array(image)
