"""Every mode in which Pillow hands out a photo, to 8-bit RGB without a silent loss."""

import io
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from lookcast.checks import InputError

_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}
"""How an ICC profile calls the colour space of a mode."""
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0

logger = logging.getLogger(__name__)


class PhotoError(InputError):
    """One photo can't be read or written; the message names the file. Others of the same run may well work."""


def to_rgb(image: Image.Image, name: str) -> tuple[Image.Image, bytes | None]:
    """Convert an image of any mode.

    16-bit and floating point grey is scaled to 8 bits (Pillow alone clips it). CMYK and grey in a colour profile go
    through that profile to sRGB; RGB stays in its own. Transparency in any form (palette, one transparent colour,
    premultiplied) becomes an alpha channel.

    Args:
        image: any mode and size.
        name: what messages call it.

    Returns:
        The image as RGB, or RGBA if it has transparency, bare of metadata, and the RGB profile it is in; None is sRGB.

    Raises:
        PhotoError: integers or floats whose range is not known: outside 0..65535 or outside 0..1.
    """
    icc_profile = image.info.get("icc_profile") or None
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_scale_to_8_bits(image, name))
    alpha = None
    if image.has_transparency_data or image.mode == "La":
        image = image.convert("LA" if image.mode in ("L", "La") else "RGBA")
        alpha = image.getchannel("A")
    if icc_profile is None:
        rgb = image.convert("RGB")
    else:
        rgb, icc_profile = _through_profile(image, icc_profile, name)
    if alpha is not None:
        rgb.putalpha(alpha)
    rgb.info = {}
    return rgb, icc_profile


def _scale_to_8_bits(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    values: npt.NDArray[Any] = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):  # written so that NaN is refused
            raise PhotoError(f"{name}: a floating point photo has values in [0, 1], this one from {low:g} to {high:g}")
        scaled: npt.NDArray[np.uint8] = np.rint(values * 255).astype(np.uint8)
    else:
        if low < 0 or high > 65535:
            raise PhotoError(f"{name}: an integer photo has at most 16 bits, this one has values from {low} to {high}")
        scaled = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    # Pillow turns such a TIFF around at 8 bits, but not at 16 and 32.
    inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return np.invert(scaled) if inverted else scaled


def _through_profile(image: Image.Image, icc_profile: bytes, name: str) -> tuple[Image.Image, bytes | None]:
    """An RGB image, and the profile it is in."""
    if image.mode == "LAB":  # means the same colours everywhere
        return image.convert("RGB"), None
    mode = "L" if image.mode in ("1", "L", "LA") else "CMYK" if image.mode == "CMYK" else "RGB"
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        space = profile.profile.xcolor_space
        if space == _SPACES["RGB"]:  # on a grey photo too: its levels are then levels of that profile
            return image.convert("RGB"), icc_profile
        if space == _SPACES[mode]:
            srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            converted = ImageCms.profileToProfile(image.convert(mode), profile, srgb, outputMode="RGB")
            assert converted is not None  # None only when asked to convert in place
            return converted, None
        problem = f"is for {space.strip()} pixels, not for {mode}"
    except (OSError, ImageCms.PyCMSError) as error:
        problem = f"can't be read ({error})"
    logger.warning("%s: its colour profile %s; read as sRGB", name, problem)
    return image.convert("RGB"), None
