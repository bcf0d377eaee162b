"""An opened photo to upright pixels: by libvips where it is faster or keeps more, else by Pillow."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lookcast.photos.deep_modes import DecodedPixels, decode_deep, is_deep
from lookcast.photos.heic import decode_deep_heic
from lookcast.photos.metadata import read_metadata
from lookcast.photos.modes import find_profile, to_rgb
from lookcast.photos.photo import Photo, Pixels
from lookcast.photos.vips import decode

logger = logging.getLogger(__name__)


def decode_photo(image: Image.Image, path: Path) -> Photo:
    """Decode a photo of which only the header was read.

    Raises:
        PhotoError: broken, truncated, or of values whose range is not known; besides whatever Pillow raises.
    """
    # MPO is the JPEG of phones; its further pictures are previews and gain maps of the first.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        logger.warning("%s: holds several pictures, the first is read", path)
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


def _decode(image: Image.Image, path: Path) -> DecodedPixels:
    decoded = None
    if is_deep(image):
        decoded = decode_deep(image, path)
    elif image.mode in ("RGB", "RGBA") and image.format in ("JPEG", "MPO", "HEIF"):
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
    values = decode_deep_heic(image, path) if image.format == "HEIF" else decode(path, image)
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
