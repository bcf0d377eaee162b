"""TIFF of 8 and 16 bits with all that belongs to a photo: Pillow writes 8 bits only, libvips no EXIF."""

import sys
from collections.abc import Sequence

from PIL import Image

from lookcast.photos.photo import Photo, with_alpha

_STRIP_BYTES = 1 << 20
_MAX_BYTES = 2**32 - 1  # offsets have 32 bits
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _CHANNELS, _ROWS = 256, 257, 258, 259, 262, 273, 277, 278
_STRIP_COUNTS, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _ALPHA = 279, 282, 283, 296, 338
_XMP, _IPTC, _ICC_PROFILE = 700, 33723, 34675
_UNCOMPRESSED, _RGB, _INCHES, _UNASSOCIATED = 1, 2, 2, 2


def encode_tiff(photo: Photo) -> Sequence[bytes | memoryview]:
    """The parts of an uncompressed TIFF, one after the other.

    A TIFF is EXIF whose first directory also says where the pixels are; they follow it.

    Raises:
        ValueError: larger than TIFF allows.
        struct.error: larger by what comes besides the colours.
    """
    if photo.pixels.nbytes > _MAX_BYTES:
        raise ValueError("a TIFF has at most 4 GiB")
    pixels = with_alpha(photo)
    height, width, channels = pixels.shape
    row_bytes = pixels.nbytes // height
    rows = max(1, _STRIP_BYTES // row_bytes)
    starts = range(0, height, rows)
    tags = Image.Exif()
    if photo.exif is not None:
        tags.load(photo.exif)
    tags.endian = "<" if sys.byteorder == "little" else ">"
    tags[_WIDTH], tags[_HEIGHT], tags[_CHANNELS] = width, height, channels
    tags[_BITS] = (8 * pixels.itemsize,) * channels
    tags[_COMPRESSION], tags[_PHOTOMETRIC] = _UNCOMPRESSED, _RGB
    tags[_ROWS] = rows
    tags[_STRIPS] = tuple(row_bytes * start for start in starts)  # Pillow adds where the directory ends
    tags[_STRIP_COUNTS] = tuple(row_bytes * min(rows, height - start) for start in starts)
    if photo.alpha is not None:
        tags[_ALPHA] = _UNASSOCIATED
    if photo.dpi is not None:
        tags[_X_RESOLUTION], tags[_Y_RESOLUTION], tags[_RESOLUTION_UNIT] = *photo.dpi, _INCHES
    for tag, value in ((_XMP, photo.xmp), (_IPTC, photo.iptc), (_ICC_PROFILE, photo.icc_profile)):
        if value is not None:
            tags[tag] = value
    head = tags.tobytes().removeprefix(b"Exif\0\0")
    return head, pixels.data.cast("B")
