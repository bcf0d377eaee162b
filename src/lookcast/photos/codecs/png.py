"""Encoding of 8-bit and 16-bit PNG with metadata.

imagecodecs encodes the pixels, and this module inserts the chunks of metadata before the pixels. Pillow can write 8
bits only. libvips would start threads, and worker processes that are forked later would hang.
"""

import io
import zlib
from pathlib import Path

import imagecodecs
from PIL.PngImagePlugin import putchunk

from lookcast.photos.photo import Photo, with_alpha

_SIGNATURE_AND_HEADER = 8 + 25  # bytes
# Compression level 3 would give 3 percent smaller files than level 2, but would take 1.5 times as long. The filter Up
# stores the difference between each byte and the byte above, which is fast and gives small files for photos.
_LEVEL, _UP = 2, 32
_INCH = 0.0254
_LATE_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")


def encode_png(photo: Photo) -> list[bytes | memoryview]:
    """Encode a photo as PNG. Return the bytes of the file as a list, in the order of writing.

    Raises:
        RuntimeError: the photo is larger than PNG allows.
    """
    pixels = memoryview(imagecodecs.png_encode(with_alpha(photo), _LEVEL, filter=_UP))
    chunks = io.BytesIO()
    if photo.icc_profile is not None:
        putchunk(chunks, b"iCCP", b"ICC Profile\0\0", zlib.compress(photo.icc_profile))
    if photo.dpi is not None:
        dots = (round(dots / _INCH).to_bytes(4, "big") for dots in photo.dpi)
        putchunk(chunks, b"pHYs", *dots, b"\1")
    if photo.exif is not None:
        putchunk(chunks, b"eXIf", photo.exif.removeprefix(b"Exif\0\0"))
    if photo.xmp is not None:
        putchunk(chunks, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0", photo.xmp)
    return [pixels[:_SIGNATURE_AND_HEADER], chunks.getvalue(), pixels[_SIGNATURE_AND_HEADER:]]


def has_late_metadata(path: Path) -> bool:
    """Return whether a PNG has metadata after the pixels. Pillow reads such metadata only when decoding the pixels."""
    with path.open("rb") as file:
        file.seek(8)
        pixels = False
        while len(head := file.read(8)) == 8:
            kind = head[4:]
            if pixels and kind in _LATE_METADATA:
                return True
            pixels = pixels or kind == b"IDAT"
            file.seek(int.from_bytes(head[:4], "big") + 4, io.SEEK_CUR)
    return False
