"""Atomic writing of photo files with their metadata. The suffix of the file name determines the format."""

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.photos.codecs.heic import HEIC_SUFFIXES, enable_heic, encode_heic
from lookcast.photos.codecs.jpeg import encode_jpeg
from lookcast.photos.codecs.png import encode_png
from lookcast.photos.codecs.tiff import encode_tiff
from lookcast.photos.photo import CODEC_ERRORS, Photo, PhotoError, logger, to_8_bits, with_alpha

_FORMATS = {
    **{".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"},
    **dict.fromkeys(HEIC_SUFFIXES, "HEIC"),
}
PHOTO_SUFFIXES = tuple(_FORMATS)
"""Suffixes of photo files, in lower case. `scan_folder` lists files with these suffixes, and `write_photo` accepts only
these suffixes."""

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
_MAX_SEGMENT = 65533  # largest segment of a JPEG, in bytes
_XMP_HEADER = 29

# No part is a `BytesIO.getbuffer()`: an error, such as a full disk, keeps the buffer in its traceback, and Python
# 3.12.0 and 3.12.1 then crash (CPython issue 111049).
_Parts = Sequence[bytes | memoryview]


def check_writable(path: str | Path, quality: int = 95, subsampling: str = "4:4:4") -> None:
    """Check the arguments of `write_photo`, so that a caller can fail before a long computation and not after it.

    Raises:
        PhotoError: the suffix is not in `PHOTO_SUFFIXES`, or it stands for HEIC and pillow-heif is not installed.
        InputError: the quality or the subsampling is invalid.
    """
    path = Path(path)
    if not (isinstance(quality, int) and 1 <= quality <= 100):
        raise InputError(f"quality: expected a whole number from 1 to 100, got {quality!r}")
    if subsampling not in SUBSAMPLINGS:
        raise InputError(f"subsampling: expected one of {', '.join(SUBSAMPLINGS)}, got {subsampling!r}")
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise PhotoError(f"{path}: can't write photos of this suffix; known are {', '.join(PHOTO_SUFFIXES)}")
    if kind == "HEIC":
        enable_heic(path)


def write_photo(
    path: str | Path, photo: Photo, quality: int = 95, subsampling: str = "4:4:4", replace: bool = True
) -> None:
    """Write a photo atomically. The suffix of the file name determines the format.

    PNG and TIFF are lossless and keep 16 bits. HEIC reduces 16 bits to 10, JPEG and WebP reduce 16 bits to 8.
    All formats keep EXIF, XMP and the colour profile. All formats except JPEG keep transparency. JPEG and TIFF keep
    IPTC. JPEG, PNG and TIFF keep the print resolution (dpi). Data that a format can't store are left out. The log warns
    about left-out transparency and metadata except dpi, and about 16 bits reduced to 8.

    Args:
        path: the file to write.
        photo: the photo to write.
        quality: quality of JPEG, WebP and HEIC, 1 to 100.
        subsampling: chroma subsampling of JPEG and HEIC, one of `SUBSAMPLINGS`. The default is no subsampling, because
            subsampling blurs the colour edges that a look changes. WebP always has 4:2:0.
        replace: if False, a file that exists is kept, and the function raises an error.

    Raises:
        PhotoError: the suffix is unknown, or the photo is larger than the format allows.
        InputError: the file can't be written, or exists and `replace` is False; or the quality or the subsampling is
            invalid.
    """
    path = Path(path)
    check_writable(path, quality, subsampling)
    kind = _FORMATS[path.suffix.lower()]
    photo = _reduced_to(kind, photo, path)
    try:  # encode before the file is opened, so that this block catches no OSError of the disk
        if kind == "TIFF":
            parts = encode_tiff(photo)
        elif kind == "PNG":
            parts = encode_png(photo)
        else:
            parts = _encode_lossy(photo, kind, quality, subsampling)
    except CODEC_ERRORS as error:
        size = f"{photo.pixels.shape[1]}x{photo.pixels.shape[0]}"
        raise PhotoError(f"{path}: {kind} can't hold this photo of {size} pixels ({error})") from error
    with atomic_write(path, replace) as temporary, temporary.open("wb") as file:
        file.writelines(parts)


def _reduced_to(kind: str, photo: Photo, path: Path) -> Photo:
    """Return the photo without the data that the format `kind` can't store; log a warning for each loss."""
    lost: dict[str, Any] = {}

    def drop(field: str, reason: str) -> None:
        if getattr(photo, field) is not None:
            logger.warning("%s: %s", path, reason)
            lost[field] = None

    if kind in ("JPEG", "WEBP") and photo.pixels.dtype == np.uint16:
        logger.warning("%s: %s has 8 bits per colour; the photo's 16 bits are rounded", path, kind)
        alpha = None if photo.alpha is None else to_8_bits(photo.alpha)
        photo = photo._replace(pixels=to_8_bits(photo.pixels), alpha=alpha)
    if kind == "JPEG":
        drop("alpha", "JPEG has no transparency; the alpha channel is left out")
        for field, room in (("exif", _MAX_SEGMENT), ("xmp", _MAX_SEGMENT - _XMP_HEADER), ("iptc", _MAX_SEGMENT - 30)):
            size = len(getattr(photo, field) or b"")
            if size > room:
                drop(field, f"{size} bytes of {field.upper()} are more than JPEG can store; left out")
    if kind not in ("JPEG", "TIFF"):
        drop("iptc", f"{kind} can't store IPTC; left out")
    return photo._replace(**lost)


def _encode_lossy(photo: Photo, kind: str, quality: int, subsampling: str) -> _Parts:
    named = {"exif": photo.exif, "icc_profile": photo.icc_profile, "xmp": photo.xmp}
    options: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    pixels = with_alpha(photo)
    encoded = io.BytesIO()
    if kind == "HEIC":
        encode_heic(encoded, pixels, quality=quality, subsampling=subsampling, **options)
    elif kind == "WEBP":
        # exact=True keeps the colours of transparent pixels.
        Image.fromarray(pixels).save(encoded, kind, quality=quality, exact=True, **options)
    else:
        if photo.iptc is not None:
            options["extra"] = _photoshop_segment(photo.iptc)
        if photo.dpi is not None:
            options["dpi"] = photo.dpi
        return encode_jpeg(pixels, quality, subsampling, **options)
    return (encoded.getvalue(),)


def _photoshop_segment(iptc: bytes) -> bytes:
    """Return the JPEG segment (APP13) that stores IPTC as a Photoshop resource."""
    resource = b"Photoshop 3.0\0" + struct.pack(">4s2HI", b"8BIM", 0x0404, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    return struct.pack(">2sH", b"\xff\xed", len(resource) + 2) + resource
