"""PNG of 8 and 16 bits with all that belongs to a photo.

Pillow writes 8 bits only, in three times the time; libvips starts threads, after which a forked worker hangs.
"""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL.PngImagePlugin import putchunk

from lookcast.photos.photo import Photo, Pixels, with_alpha

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _RGBA = 2, 6
_UP = 2  # the filter that stores each byte as its difference from the one above: fast, and small for photos
_LEVEL = 3  # 6 takes twice the time for a few percent
_BAND_BYTES = 1 << 20
_INCH = 0.0254


def encode_png(photo: Photo) -> memoryview:
    """A PNG file.

    Raises:
        struct.error: larger than PNG allows.
    """
    pixels = with_alpha(photo)
    height, width, channels = pixels.shape
    file = io.BytesIO()
    file.write(_SIGNATURE)
    header = struct.pack(">2I5B", width, height, 8 * pixels.itemsize, _RGB if channels == 3 else _RGBA, 0, 0, 0)
    putchunk(file, b"IHDR", header)
    if photo.icc_profile is not None:
        putchunk(file, b"iCCP", b"ICC Profile\0\0", zlib.compress(photo.icc_profile))
    if photo.dpi is not None:
        putchunk(file, b"pHYs", struct.pack(">2IB", *(round(dots / _INCH) for dots in photo.dpi), 1))
    if photo.exif is not None:
        putchunk(file, b"eXIf", photo.exif.removeprefix(b"Exif\0\0"))
    if photo.xmp is not None:
        putchunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0", photo.xmp)
    compressor = zlib.compressobj(_LEVEL)
    for rows in _filtered(pixels):
        putchunk(file, b"IDAT", compressor.compress(rows.data))
    putchunk(file, b"IDAT", compressor.flush())
    putchunk(file, b"IEND", b"")
    return file.getbuffer()


def _filtered(pixels: Pixels) -> Iterator[npt.NDArray[np.uint8]]:
    """Bands of filtered rows, each row behind the number of its filter."""
    above = np.zeros(pixels[0].nbytes, np.uint8)
    count = max(1, _BAND_BYTES // above.size)
    for top in range(0, len(pixels), count):
        band = pixels[top : top + count]
        rows = band.astype(band.dtype.newbyteorder(">")).view(np.uint8).reshape(len(band), -1)
        filtered = np.empty((len(rows), 1 + above.size), np.uint8)
        filtered[:, 0] = _UP
        filtered[0, 1:] = rows[0] - above
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above = rows[-1]
        yield filtered
