"""JPEG through libjpeg-turbo without a detour: pixels straight from and to numpy, in three quarters of the time.

Reading, simplejpeg refuses whatever is not in order, where imagecodecs shows grey for what a cut file lacks. Writing,
imagecodecs has Pillow's very bytes, where simplejpeg rounds more coarsely (the fast cosine transform below a quality
of 96). Pillow would copy the pixels into a layout of its own and back, libvips a band at a time.
"""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from lookcast.photos.codecs.vips import decode
from lookcast.photos.photo import Pixels

_MOST = 65500
"""Pixels a side that libjpeg reads, and with it most programs. The format would have 65,535."""
_FIRST_SEGMENT, _LAST_SEGMENT = 0xE0, 0xEF
"""Second bytes of the markers of what belongs to a photo besides its pixels (APP0 to APP15)."""


def decode_jpeg(path: Path, header: Image.Image) -> npt.NDArray[np.uint8]:
    """Pixels as they are stored, `(H, W, 3)`: not turned, in the file's own colours.

    Args:
        path: the file.
        header: what Pillow made of it, of mode RGB: no other size is decoded.

    Raises:
        PhotoError: broken or truncated.
    """
    pixels = np.empty((header.height, header.width, 3), np.uint8)
    try:
        decoded = simplejpeg.decode_jpeg(path.read_bytes(), colorspace="RGB", buffer=pixels)
    except ValueError:
        decoded = None
    if decoded is None or decoded.shape != pixels.shape:
        # Cameras write files that are whole but not quite in order, such as with bytes between two parts. libvips tells
        # those from broken ones, and says what is wrong with the latter.
        return decode(path, header)
    return pixels


def encode_jpeg(pixels: Pixels, quality: int, subsampling: str, **options: Any) -> list[memoryview]:
    """A JPEG file, in parts: byte by byte what Pillow writes.

    Args:
        pixels: `(H, W, 3)`, of 8 bits.
        quality: 1 to 100.
        subsampling: of the colour: 4:4:4, 4:2:2 or 4:2:0.
        options: of Pillow's `Image.save`, what belongs to the photo besides its pixels: `exif`, `icc_profile`, ...

    Raises:
        ValueError: larger than JPEG allows, or more of something than it holds.
    """
    if max(pixels.shape[:2]) > _MOST:
        raise ValueError(f"at most {_MOST} pixels a side")
    contiguous = np.ascontiguousarray(pixels)
    encoded = memoryview(imagecodecs.jpeg8_encode(contiguous, quality, subsampling=subsampling.replace(":", "")))
    # Pillow knows how to write what belongs to a photo: around one pixel it does so, and the others follow.
    around = io.BytesIO()
    Image.new("RGB", (1, 1)).save(around, "JPEG", **options)
    segments = around.getbuffer()
    return [segments[: _end_of_segments(segments)], encoded[_end_of_segments(encoded) :]]


def _end_of_segments(jpeg: memoryview) -> int:
    """Where the description of the pixels begins."""
    position = 2
    while _FIRST_SEGMENT <= jpeg[position + 1] <= _LAST_SEGMENT:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return position
