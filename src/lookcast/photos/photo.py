"""The `Photo` record, conversions between 8 and 16 bits, and the errors of reading and writing photo files."""

import logging
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from lookcast.checks import InputError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

CODEC_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError),
    *(struct.error, zlib.error, ImageCms.PyCMSError, Image.DecompressionBombError),
)
"""Errors that Pillow, imagecodecs, simplejpeg and pillow-heif raise when decoding or encoding fails. `codecs.vips`
translates the errors of libvips to `PhotoError`."""

logger = logging.getLogger("lookcast.photos")
"""Logger of all warnings about photos. A training run filters repeated warnings at this logger."""

_BAND = 1 << 20  # number of values that are converted at a time


class PhotoError(InputError):
    """Error for a photo file that can't be read or written. The message is one line that names the file."""


class Photo(NamedTuple):
    """An upright photo with its metadata.

    Attributes:
        pixels: RGB values `(H, W, 3)`, uint8 or uint16.
        alpha: alpha channel `(H, W)` of the same type as `pixels`; None without transparency.
        exif: EXIF bytes as in Pillow's `info["exif"]`, with orientation 1 and without a preview; None if absent.
        icc_profile: RGB colour profile of the pixels; None stands for sRGB. The module `color` converts the pixels to
            sRGB and back.
        xmp: XMP packet, without an orientation and without previews; None if absent.
        iptc: IPTC records; None if absent.
        dpi: horizontal and vertical print resolution in dots per inch; None if absent.
        damage: error message of a damaged file that was read leniently; None for an intact file.
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
    """Return the pixels and alpha as one contiguous array: `(H, W, 4)` with alpha, `(H, W, 3)` without alpha."""
    together: Any = photo.pixels if photo.alpha is None else np.dstack((photo.pixels, photo.alpha))
    return np.ascontiguousarray(together)


def to_8_bits(levels: Pixels) -> npt.NDArray[np.uint8]:
    """Convert uint16 samples to uint8 by rounding to the nearest of 256 levels; return uint8 samples unchanged."""
    if levels.dtype == np.uint8:
        return levels.astype(np.uint8, copy=False)
    rounded = np.empty(levels.shape, np.uint8)
    flat, source = rounded.reshape(-1), levels.reshape(-1)
    # The loop converts bands, because 32-bit values of the whole photo would take twice the memory of the photo.
    for start in range(0, len(flat), _BAND):
        band = source[start : start + _BAND].astype(np.uint32)
        # (255 x + 32895) >> 16 equals round(x / 257) for every 16-bit x.
        band *= 255
        band += 32895
        band >>= 16
        flat[start : start + _BAND] = band
    return rounded


def to_16_bits(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint16]:
    """Convert samples of any type to uint16.

    Integers in 0..65535 keep their values. If unsigned 32-bit integers exceed 65535, the range 0..2^32 - 1 is scaled
    to 0..65535. Floating-point values in [0, 1] are rounded to the nearest of 65536 levels.

    Raises:
        PhotoError: the values are outside these ranges, or the type is int8.
    """
    if values.dtype == np.uint16:
        return values
    low, high = values.min(), values.max()
    scale: Any = None
    if np.issubdtype(values.dtype, np.floating):
        if not (low >= 0 and high <= 1):  # this form also refuses NaN
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
