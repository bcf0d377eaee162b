"""Read headers of TIFFs with sample formats that Pillow lacks, and encode TIFFs of 8 or 16 bits with metadata.

This module exists because Pillow writes 8 bits only and has no mode for many sample formats, and libvips writes no
EXIF.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from lookcast.photos.photo import Photo, PhotoError, with_alpha

_BIGTIFF = b"II+\0"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", _BIGTIFF)
BIG_ENDIAN_BIGTIFF = b"MM\0+"
_MAX_CHANNELS = 5  # CMYK and alpha
_DIRECTORIES = (0x8769, 0x8825)  # pointers to the directories of EXIF and GPS
_STRIP_BYTES = 1 << 20
_MAX_BYTES = 2**32 - 1  # offsets have 32 bits
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _CHANNELS, _ROWS = 256, 257, 258, 259, 262, 273, 277, 278
_STRIP_COUNTS, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _ALPHA = 279, 282, 283, 296, 338
_XMP, _IPTC, _ICC_PROFILE = 700, 33723, 34675
_UNCOMPRESSED, _RGB, _INCHES, _UNASSOCIATED = 1, 2, 2, 2
_SAMPLE_FORMAT, _UNSIGNED = 339, 1
_STORAGE = (_STRIPS, _STRIP_COUNTS, _ROWS, 317, 322, 323, 324, 325, 347)  # predictor, tiles, JPEG tables


def open_tiff_header(path: Path) -> Image.Image:
    """Open the header of a TIFF with a sample format for which Pillow has no mode, such as floating point.

    The returned image claims to have unsigned 16-bit samples, whatever the file contains, so that Pillow accepts it.
    Use only the size, mode and metadata of the image; libvips decodes the pixels.

    Raises:
        PhotoError: the samples have more than 32 bits, or there are more than five channels.
        UnidentifiedImageError: Pillow has no mode for these channels even with 16-bit samples.
    """
    tags = Image.Exif()
    with path.open("rb") as file:
        tags.bigtiff = file.read(4) == _BIGTIFF
        if tags.bigtiff:
            tags.endian = "<"
            file.seek(8)
            tags.load_from_fp(file, int.from_bytes(file.read(8), "little"))
        else:
            file.seek(0)
            tags.load_from_fp(file)
        values = dict(tags)  # read while the file is open
        for directory in _DIRECTORIES:
            tags.get_ifd(directory)
    channels, bits = values.get(_CHANNELS, 1), values.get(_BITS, 1)
    if channels > _MAX_CHANNELS:
        raise PhotoError(f"{path}: has {channels} channels, expected at most {_MAX_CHANNELS}")
    if max(bits if isinstance(bits, tuple) else (bits,)) > 32:
        raise PhotoError(f"{path}: samples of 64 bits are not supported, expected at most 32")
    for tag in _STORAGE:
        if tag in tags:
            del tags[tag]
    tags[_COMPRESSION] = _UNCOMPRESSED
    tags[_BITS], tags[_SAMPLE_FORMAT] = (16,) * channels, (_UNSIGNED,) * channels
    tags[_STRIPS] = 0
    return Image.open(io.BytesIO(to_exif(tags).removeprefix(b"Exif\0\0")))


def to_exif(tags: Image.Exif) -> bytes:
    """Encode tags as EXIF bytes, always as a classic TIFF: EXIF does not allow BigTIFF."""
    tags.bigtiff = False
    return tags.tobytes()


def encode_tiff(photo: Photo) -> Sequence[bytes | memoryview]:
    """Encode a photo as an uncompressed TIFF. Return the bytes of the file in parts, in the order of writing.

    EXIF has the layout of a TIFF without pixels, so the EXIF becomes the start of the file. The function adds the
    positions of the pixels to the first directory, and the pixels follow the directories.

    Raises:
        ValueError: the colours take more than the 4 GiB that TIFF allows.
        struct.error: the colours, alpha and metadata together take more than 4 GiB.
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
    tags[_STRIPS] = tuple(row_bytes * start for start in starts)  # Pillow adds the offset of the end of the directories
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
