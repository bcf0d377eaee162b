"""An opened photo to upright pixels: by what is faster or keeps more than Pillow, else by Pillow."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookcast.photos.codecs.heic import decode_deep_heic
from lookcast.photos.codecs.jpeg import decode_jpeg
from lookcast.photos.codecs.modes import find_profile, to_rgb
from lookcast.photos.codecs.sixteen_bit import DecodedPixels, decode_deep, is_deep
from lookcast.photos.color import to_srgb
from lookcast.photos.metadata import read_metadata
from lookcast.photos.photo import Photo, Pixels, to_8_bits

logger = logging.getLogger(__name__)


def decode_photo(image: Image.Image, path: Path) -> Photo:
    """Decode a photo of which only the header was read.

    Raises:
        PhotoError: broken, truncated, or of values whose range is not known; besides whatever Pillow raises.
    """
    colors, alpha, icc_profile = _decode(image, path)
    # Afterwards, because Pillow turns a TIFF by itself while loading, and then has no orientation left; and because a
    # PNG's metadata may follow its pixels.
    metadata = read_metadata(image, (colors.shape[1], colors.shape[0]), str(path))
    return Photo(
        _upright(colors, metadata.orientation),
        None if alpha is None else _upright(alpha, metadata.orientation),
        metadata.exif,
        icc_profile,
        metadata.xmp,
        metadata.iptc,
        metadata.dpi,
    )


def decode_shrunk(image: Image.Image, path: Path, min_side: int) -> npt.NDArray[np.uint8]:
    """Decode a photo of which only the header was read, and shrink it.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves enough, which takes a fraction of the time; the
    rest is an antialiased resize (bilinear, as generators see photos).

    Args:
        image: a photo of which only the header was read.
        path: its file.
        min_side: its shorter side in the result; a photo that is smaller stays as it is.

    Returns:
        `(H, W, 3)` in sRGB, upright.

    Raises:
        PhotoError: as `decode_photo`; besides whatever Pillow raises.
    """
    stored = image.size
    drafted = image.draft(None, _shrunk(stored, min_side))  # by JPEG only; the box is where the photo lies in the draft
    reduced = image.size != stored
    colors, _, icc_profile = _decode(image, path, reduced)
    if not reduced:
        drafted, stored = None, (colors.shape[1], colors.shape[0])  # a TIFF is turned by Pillow while it is loaded
    pixels: Any = to_8_bits(to_srgb(colors, icc_profile))
    if _shrunk(stored, min_side) != stored:
        box = None if drafted is None else drafted[1]
        pixels = Image.fromarray(pixels).resize(_shrunk(stored, min_side), Image.Resampling.BILINEAR, box)
    orientation = read_metadata(image, stored, str(path)).orientation
    return to_8_bits(_upright(np.asarray(pixels), orientation))


def _shrunk(size: tuple[int, int], min_side: int) -> tuple[int, int]:
    scale = min(1.0, min_side / min(size))
    return round(size[0] * scale), round(size[1] * scale)


def _decode(image: Image.Image, path: Path, reduced: bool = False) -> DecodedPixels:
    # MPO is the JPEG of phones; its further pictures are previews and gain maps of the first.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        logger.warning("%s: holds several pictures, the first is read", path)
    decoded = None
    if is_deep(image):
        decoded = decode_deep(image, path)
    elif image.mode in ("RGB", "RGBA") and image.format in ("JPEG", "MPO", "HEIF") and not reduced:
        decoded = _decode_rgb(image, path)
    if decoded is None:
        image.load()
        rgb, icc_profile = to_rgb(image, str(path))
        values: Any = np.array(rgb)
        return DecodedPixels(values[..., :3], values[..., 3] if rgb.mode == "RGBA" else None, icc_profile)
    if image.format == "PNG":
        image.load()  # for the metadata behind the pixels
    return decoded


def _decode_rgb(image: Image.Image, path: Path) -> DecodedPixels | None:
    """A JPEG, or a HEIC of more than 8 bits; None for what Pillow reads, or has to convert."""
    values = decode_deep_heic(image, path) if image.format == "HEIF" else decode_jpeg(path, image)
    if values is None:
        return None
    icc_profile = image.info.get("icc_profile") or None
    if icc_profile is not None:
        profile = find_profile(icc_profile, "RGB", str(path))
        if profile is not None and profile.matrix is None:
            return None
        icc_profile = None if profile is None else icc_profile
    return DecodedPixels(values[..., :3], values[..., 3] if values.shape[2] == 4 else None, icc_profile)


def _upright(values: Pixels, orientation: int) -> Pixels:
    """Turn and mirror pixels as EXIF says they lie; contiguous."""
    turned: Any = values
    if orientation >= 5:
        turned = turned.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    upright: Pixels = np.ascontiguousarray(turned)
    return upright
