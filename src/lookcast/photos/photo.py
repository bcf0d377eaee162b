"""The content of a photo file, its bit depths, and the errors of reading and writing one."""

import logging
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

from lookcast.checks import InputError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

CODEC_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError),
    *(struct.error, zlib.error, ImageCms.PyCMSError),
)
"""Errors of Pillow, imagecodecs, simplejpeg and pillow-heif for bytes that they can't decode or values that they can't
encode. `codecs.vips` translates the error of libvips."""

logger = logging.getLogger("lookcast.photos")
"""The logger of all warnings about photos; a training filters repeated ones in this one place."""

_BAND = 1 << 20  # values at a time


class PhotoError(InputError):
    """A photo can't be read or written; the message is one line that names the file."""


class Photo(NamedTuple):
    """An upright photo.

    Attributes:
        pixels: `(H, W, 3)` RGB, uint8 or uint16.
        alpha: `(H, W)` of the same depth; None without transparency.
        exif: in Pillow's form, upright and without the preview; None if absent.
        icc_profile: an RGB colour profile of the pixels that `color` converts in both directions; None is sRGB.
        xmp: an XMP packet without orientation and previews; None if absent.
        iptc: IPTC records; None if absent.
        dpi: print resolution, horizontal and vertical; None if absent.
        damage: the error of a damaged file that was read leniently; None for an intact one.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    damage: str | None = None


def with_alpha(photo: Photo) -> Pixels:
    """Return pixels and alpha in one contiguous array: `(H, W, 3)`, or `(H, W, 4)` with transparency."""
    together: Any = photo.pixels if photo.alpha is None else np.dstack((photo.pixels, photo.alpha))
    return np.ascontiguousarray(together)


def to_8_bits(levels: Pixels) -> npt.NDArray[np.uint8]:
    """Round uint16 to the nearest of 256 levels; return uint8 as it is."""
    if levels.dtype == np.uint8:
        return levels.astype(np.uint8, copy=False)
    rounded = np.empty(levels.shape, np.uint8)
    flat, source = rounded.reshape(-1), levels.reshape(-1)
    # In bands: 32 bits for each value of a whole photo would take twice its memory.
    for start in range(0, len(flat), _BAND):
        band = source[start : start + _BAND].astype(np.uint32)
        # Equals round(x / 257) for all 16-bit x.
        band *= 255
        band += 32895
        band >>= 16
        flat[start : start + _BAND] = band
    return rounded


def to_16_bits(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint16]:
    """Convert samples of any type to uint16.

    Integers keep their values, which must lie in 0..65535; unsigned 32-bit integers that exceed it are
    taken to span their whole range. Floating point in [0, 1] becomes the nearest of 65536 levels.

    Raises:
        PhotoError: values outside these ranges, or signed bytes.
    """
    if values.dtype == np.uint16:
        return values
    low, high = values.min(), values.max()
    scale: Any = None
    if np.issubdtype(values.dtype, np.floating):
        if not (low >= 0 and high <= 1):  # written so that NaN is refused
            raise PhotoError(f"{name}: a floating point photo has values in [0, 1], this one from {low:g} to {high:g}")
        scale = np.float32(65535)
    elif values.dtype == np.int8:
        raise PhotoError(f"{name}: signed bytes are not supported, an integer photo has unsigned values")
    elif values.dtype == np.uint32 and high > 65535:
        scale = np.float64(65535 / (2**32 - 1))
    elif low < 0 or high > 65535:
        raise PhotoError(
            f"{name}: a photo of signed integers has values from 0 to 65535, this one from {low} to {high}"
        )
    levels = np.empty(values.shape, np.uint16)
    flat, source = levels.reshape(-1), np.ascontiguousarray(values).reshape(-1)
    for start in range(0, len(flat), _BAND):
        band = source[start : start + _BAND]
        flat[start : start + _BAND] = band if scale is None else np.rint(band * scale)
    return levels
