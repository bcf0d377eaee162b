"""Photo files out: the suffix chooses the format, what belongs to the photo is kept, written whole or not at all."""

import io
import logging
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
from lookcast.photos.photo import Photo, PhotoError, to_8_bits, with_alpha

_FORMATS = {
    **{".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"},
    **dict.fromkeys(HEIC_SUFFIXES, "HEIC"),
}
PHOTO_SUFFIXES = tuple(_FORMATS)
"""What a photo file's name ends with, in lower case: looked for in folders, and the formats that can be written."""

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
_MAX_SEGMENT = 65533  # of JPEG, in bytes
_XMP_HEADER = 29

_Parts = Sequence[bytes | memoryview]
logger = logging.getLogger(__name__)


def check_writable(path: str | Path, quality: int = 95, subsampling: str = "4:4:4") -> None:
    """Refuse what `write_photo` would refuse whatever the photo is, before there is one.

    Raises:
        PhotoError: a suffix that is none of `PHOTO_SUFFIXES`, or HEIC without pillow-heif.
        InputError: a quality or subsampling that there is not.
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


def write_photo(path: str | Path, photo: Photo, quality: int = 95, subsampling: str = "4:4:4") -> None:
    """Write a photo, whole or not at all; the suffix chooses the format.

    PNG and TIFF are lossless and keep 16 bits; HEIC keeps 10 of them; JPEG and WebP have 8, to which 16 are rounded.
    EXIF, XMP, colour profile and transparency are kept, IPTC in JPEG and TIFF, the resolution in JPEG, PNG and TIFF.
    What a format can't hold is left out; the log says so.

    Args:
        path: the file.
        photo: what to write.
        quality: of JPEG, WebP and HEIC, 1 to 100.
        subsampling: of the colour in JPEG and HEIC, one of `SUBSAMPLINGS`; none by default, because it smears the
            colour edges that a look moves. WebP always has 4:2:0.

    Raises:
        PhotoError: unknown suffix, or larger than the format allows.
        InputError: the file can't be written, or a quality or subsampling that there is not.
    """
    path = Path(path)
    check_writable(path, quality, subsampling)
    kind = _FORMATS[path.suffix.lower()]
    photo = _without_what_is_lost(photo, kind, path)
    try:  # before the file is opened: what the format refuses is another fault than a full disk
        if kind == "TIFF":
            parts = encode_tiff(photo)
        elif kind == "PNG":
            parts = (encode_png(photo),)
        else:
            parts = _encode_lossy(photo, kind, quality, subsampling)
    except (ValueError, OSError, RuntimeError, struct.error) as error:
        size = f"{photo.pixels.shape[1]}x{photo.pixels.shape[0]}"
        raise PhotoError(f"{path}: {kind} can't hold this photo of {size} pixels ({error})") from error
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.writelines(parts)


def _without_what_is_lost(photo: Photo, kind: str, path: Path) -> Photo:
    lost: dict[str, Any] = {}

    def drop(field: str, reason: str) -> None:
        if getattr(photo, field) is not None:
            logger.warning("%s: %s", path, reason)
            lost[field] = None

    if kind in ("JPEG", "WEBP") and photo.pixels.dtype == np.uint16:
        logger.warning("%s: %s has 8 bits per colour; the photo's 16 are rounded", path, kind)
        alpha = None if photo.alpha is None else to_8_bits(photo.alpha)
        photo = photo._replace(pixels=to_8_bits(photo.pixels), alpha=alpha)
    if kind == "JPEG":
        drop("alpha", "JPEG has no transparency; the alpha channel is left out")
        for field, room in (("exif", _MAX_SEGMENT), ("xmp", _MAX_SEGMENT - _XMP_HEADER), ("iptc", _MAX_SEGMENT - 30)):
            size = len(getattr(photo, field) or b"")
            if size > room:
                drop(field, f"{size} bytes of {field.upper()} are more than JPEG holds; left out")
    if kind not in ("JPEG", "TIFF"):
        drop("iptc", f"{kind} has no IPTC; left out")
    return photo._replace(**lost)


def _encode_lossy(photo: Photo, kind: str, quality: int, subsampling: str) -> _Parts:
    named = {"exif": photo.exif, "icc_profile": photo.icc_profile, "xmp": photo.xmp}
    options: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    pixels = with_alpha(photo)
    encoded = io.BytesIO()
    if kind == "HEIC":
        encode_heic(encoded, pixels, quality=quality, subsampling=subsampling, **options)
    elif kind == "WEBP":
        # exact: colours below full transparency stay.
        Image.fromarray(pixels).save(encoded, kind, quality=quality, exact=True, **options)
    else:
        if photo.iptc is not None:
            options["extra"] = _photoshop_segment(photo.iptc)
        if photo.dpi is not None:
            options["dpi"] = photo.dpi
        return encode_jpeg(pixels, quality, subsampling, **options)
    return (encoded.getbuffer(),)


def _photoshop_segment(iptc: bytes) -> bytes:
    """IPTC in JPEG: a resource of Photoshop's."""
    resource = b"Photoshop 3.0\0" + struct.pack(">4s2HI", b"8BIM", 0x0404, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    return struct.pack(">2sH", b"\xff\xed", len(resource) + 2) + resource
