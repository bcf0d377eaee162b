"""Decoding of opened photos to upright pixels. A table maps formats to codecs; Pillow decodes all other formats."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookcast.photos.codecs.heic import decode_heic
from lookcast.photos.codecs.jpeg import decode_jpeg
from lookcast.photos.codecs.modes import DecodedPixels, through_profile, to_rgb
from lookcast.photos.codecs.png import has_late_metadata
from lookcast.photos.codecs.vips import VIPS_FORMATS
from lookcast.photos.codecs.vips import decode as decode_by_vips
from lookcast.photos.color import to_srgb
from lookcast.photos.metadata import read_metadata
from lookcast.photos.photo import CODEC_ERRORS, Photo, Pixels, logger, to_8_bits, to_16_bits

_GREY = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_BITS_PER_SAMPLE, _SAMPLE_FORMAT, _SIGNED = 258, 339, 2


def _decode_above_8_bits(path: Path, header: Image.Image) -> npt.NDArray[Any] | None:
    """Decode a photo of more than 8 bits per channel to uint16; return None for 8 bits, which Pillow can decode."""
    tags = getattr(header, "tag_v2", {})
    layouts = [tile.args if isinstance(tile.args, str) else str(tile.args[0]) for tile in header.tile]  # type: ignore[attr-defined]
    wide = max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8 or any(";16" in layout for layout in layouts)
    if header.mode in _GREY or wide or _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        return to_16_bits(decode_by_vips(path, header), str(path))
    return None


# The keys are Pillow's names of formats. A codec returns pixels `(H, W, channels)` in stored orientation, or None if
# Pillow can decode the file without loss. MPO is a format of phones: a JPEG followed by further pictures, which are
# previews and gain maps.
_CODECS: dict[str, Callable[..., npt.NDArray[Any] | None]] = {
    "JPEG": decode_jpeg,
    "MPO": decode_jpeg,
    "PNG": _decode_above_8_bits,
    "TIFF": _decode_above_8_bits,
    "HEIF": decode_heic,
}


def decode_photo(image: Image.Image, path: Path, lenient: bool = False) -> Photo:
    """Decode an opened photo to upright pixels, and read the metadata.

    Args:
        image: the opened file, of which only the header was read.
        path: path of the file.
        lenient: if True, decode the readable part of a damaged JPEG, PNG or TIFF, and set `Photo.damage`.

    Raises:
        PhotoError: the file is broken or truncated, or the range of its values is unknown. Errors of the codecs
            (`CODEC_ERRORS`) pass through.
    """
    damage = None
    try:
        decoded = _decode(image, path)
    except CODEC_ERRORS as error:
        if not lenient or image.format not in VIPS_FORMATS:
            raise
        damage = " ".join(str(error).removeprefix(f"{path}: ").split())
        decoded = _to_colors(_rest_of(path, image), image, path)
    # The metadata are read after decoding for two reasons. Pillow rotates a TIFF while loading it and then reports no
    # orientation. In a PNG, metadata may follow the pixels.
    colors, alpha, icc_profile = decoded
    metadata = read_metadata(image, (colors.shape[1], colors.shape[0]), str(path))
    return Photo(
        _upright(colors, metadata.orientation),
        None if alpha is None else _upright(alpha, metadata.orientation),
        metadata.exif,
        icc_profile,
        metadata.xmp,
        metadata.iptc,
        metadata.dpi,
        damage,
    )


def decode_shrunk(image: Image.Image, path: Path, min_side: int) -> npt.NDArray[np.uint8]:
    """Decode an opened photo at a reduced size.

    To save time, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size, if this is not below the requested size. Then an
    antialiased bilinear resize gives the requested size. The stylizer resizes photos for generators in the same way.

    Args:
        image: the opened file, of which only the header was read.
        path: path of the file.
        min_side: length of the shorter side of the result, in pixels; a smaller photo keeps its size.

    Returns:
        Upright sRGB pixels `(H, W, 3)`.

    Raises:
        PhotoError: see `decode_photo`. Errors of the codecs (`CODEC_ERRORS`) pass through.
    """
    stored, shrink = image.size, 1
    if _CODECS.get(str(image.format)) is decode_jpeg:
        parts = [old // new for old, new in zip(stored, _shrunk(stored, min_side), strict=True)]
        shrink = max(part for part in (1, 2, 4, 8) if part <= min(parts))
    colors, _, icc_profile = _decode(image, path, shrink)
    box = None
    if shrink > 1:  # sizes are rounded up, so the last row and column may extend beyond the photo
        box = (0, 0, stored[0] / shrink, stored[1] / shrink)
    else:
        stored = (colors.shape[1], colors.shape[0])  # Pillow rotates a TIFF while loading it
    pixels: Any = to_8_bits(to_srgb(colors, icc_profile))
    if _shrunk(stored, min_side) != stored:
        pixels = Image.fromarray(pixels).resize(_shrunk(stored, min_side), Image.Resampling.BILINEAR, box)
    orientation = read_metadata(image, stored, str(path)).orientation
    return to_8_bits(_upright(np.asarray(pixels), orientation))


def _shrunk(size: tuple[int, int], min_side: int) -> tuple[int, int]:
    scale = min(1.0, min_side / min(size))
    return round(size[0] * scale), round(size[1] * scale)


def _decode(image: Image.Image, path: Path, shrink: int = 1) -> DecodedPixels:
    if image.format != "MPO" and getattr(image, "is_animated", False):
        logger.warning("%s: holds several pictures, the first is read", path)
    codec = _CODECS.get(str(image.format))
    options = {} if shrink == 1 else {"shrink": shrink}  # only the JPEG codec has this argument
    values = None if codec is None else codec(path, image, **options)
    if values is None:
        return to_rgb(image, str(path))
    if image.format == "PNG" and has_late_metadata(path):
        image.load()
    return _to_colors(values, image, path)


def _to_colors(values: Any, image: Image.Image, path: Path) -> DecodedPixels:
    """Split decoded channels into colours and alpha, and convert the colours by `through_profile`."""
    count = 4 if image.mode == "CMYK" else 1 if values.shape[2] < 3 else 3
    transparent = image.has_transparency_data and values.shape[2] > count
    alpha = values[..., count] if transparent else None
    return through_profile(values[..., :count], alpha, image.info.get("icc_profile") or None, str(path))


def _rest_of(path: Path, image: Image.Image) -> Pixels:
    values = decode_by_vips(path, image, lenient=True)
    return np.asarray(values, np.uint8) if values.dtype == np.uint8 else to_16_bits(values, str(path))


def _upright(values: Pixels, orientation: int) -> Pixels:
    """Rotate and mirror pixels to EXIF orientation 1; return a contiguous array."""
    turned: Any = values
    if orientation >= 5:
        turned = turned.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    upright: Pixels = np.ascontiguousarray(turned)
    return upright
