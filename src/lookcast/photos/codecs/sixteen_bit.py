"""Photos of 16 bits per channel, read by libvips: Pillow has no such colour and reads them at 8 bits without a word."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from lookcast.photos.codecs.modes import find_profile, to_16_bits
from lookcast.photos.codecs.vips import decode
from lookcast.photos.color import grey_to_srgb
from lookcast.photos.photo import Pixels

_GREY = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_BITS_PER_SAMPLE = 258

logger = logging.getLogger(__name__)


class DecodedPixels(NamedTuple):
    """Pixels as they lie in the file, not turned.

    Attributes:
        colors: `(H, W, 3)` RGB.
        alpha: `(H, W)`; None without transparency.
        icc_profile: what the colours are in; None is sRGB.
    """

    colors: Pixels
    alpha: Pixels | None
    icc_profile: bytes | None


def is_deep(image: Image.Image) -> bool:
    """Whether an opened PNG or TIFF holds more than 8 bits per channel; its pixels must not be loaded yet."""
    if image.format not in ("PNG", "TIFF"):
        return False
    layouts = [tile.args if isinstance(tile.args, str) else str(tile.args[0]) for tile in image.tile]  # type: ignore[attr-defined]
    bits = max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,)))
    return image.mode in _GREY or bits > 8 or any(";16" in layout for layout in layouts)


def decode_deep(image: Image.Image, path: Path) -> DecodedPixels | None:
    """Read a deep photo as uint16; None, with a line in the log, for what only Pillow reads, at 8 bits.

    That is CMYK, and what is in a profile made of tables. Grey in a profile of grey becomes sRGB.

    Raises:
        PhotoError: broken or truncated, or values outside 0..65535 or 0..1.
    """
    name, profile = str(path), None
    values = None if image.mode == "CMYK" else to_16_bits(decode(path, image), name)
    if values is not None and (icc_profile := image.info.get("icc_profile")):
        profile = find_profile(icc_profile, "GRAY" if values.shape[2] < 3 else "RGB", name)
    if values is None or (profile is not None and profile.curves is None):
        logger.warning("%s: has 16 bits per colour, read at 8 bits (CMYK, or a colour profile made of tables)", name)
        return None
    grey = values.shape[2] < 3
    colors: Any = values[..., :1] if grey else values[..., :3]
    if profile is not None and profile.matrix is None:
        colors, profile = grey_to_srgb(colors, profile), None
    alpha = values[..., 1 if grey else 3] if image.has_transparency_data else None
    return DecodedPixels(colors.repeat(3, 2) if grey else colors, alpha, None if profile is None else icc_profile)
