"""Every mode in which Pillow hands out a photo, to 8-bit RGB without a silent loss."""

import io
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from lookcast.photos.icc_tags import Profile, ProfileError, read_profile
from lookcast.photos.photo import PhotoError, to_8_bits

_SPACES = {"1": "GRAY", "L": "GRAY", "LA": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
"""How an ICC profile calls the colour space of a mode; RGB for all others."""
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0

logger = logging.getLogger(__name__)


def to_rgb(image: Image.Image, name: str) -> tuple[Image.Image, bytes | None]:
    """Convert an image of any mode.

    16-bit and floating point grey is scaled to 8 bits (Pillow alone clips it). CMYK and grey in a colour profile go
    through that profile to sRGB; RGB stays in its own, unless that is made of tables, which no photo is edited in: it
    goes to sRGB too, and the log says so. Transparency in any form (palette, one transparent colour, premultiplied)
    becomes an alpha channel.

    Args:
        image: any mode and size.
        name: what messages call it.

    Returns:
        The image as RGB, or RGBA if it has transparency, bare of metadata, and the RGB profile it is in, one that
        `color_profiles` converts; None is sRGB.

    Raises:
        PhotoError: integers or floats whose range is not known: outside 0..65535 or outside 0..1.
    """
    icc_profile = image.info.get("icc_profile") or None
    if image.mode.startswith("I") or image.mode == "F":
        values = to_8_bits(to_16_bits(np.asarray(image), name))
        # Pillow turns such a TIFF around at 8 bits, but not at 16 and 32.
        inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        image = Image.fromarray(np.invert(values) if inverted else values)
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


def to_16_bits(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint16]:
    """Integers as they are, floats in [0, 1] as the nearest of 65536 levels.

    Raises:
        PhotoError: values outside 0..65535, or outside 0..1.
    """
    if values.dtype == np.uint16:
        return values
    low, high = values.min(), values.max()
    if np.issubdtype(values.dtype, np.floating):
        if not (low >= 0 and high <= 1):  # written so that NaN is refused
            raise PhotoError(f"{name}: a floating point photo has values in [0, 1], this one from {low:g} to {high:g}")
        levels: npt.NDArray[np.uint16] = np.rint(values * np.float32(65535)).astype(np.uint16)
        return levels
    if low < 0 or high > 65535:
        raise PhotoError(f"{name}: an integer photo has at most 16 bits, this one has values from {low} to {high}")
    return values.astype(np.uint16)


def find_profile(icc_profile: bytes, space: str, name: str) -> Profile | None:
    """A profile, if it is for pixels of a space: `RGB`, `GRAY`, `CMYK`; otherwise None and a line in the log.

    One of RGB serves grey pixels too: their levels are then levels of that profile.
    """
    try:
        profile = read_profile(icc_profile)
    except ProfileError as error:
        problem = f"can't be read ({error})"
    else:
        if profile.space == space or (profile.space, space) == ("RGB", "GRAY"):
            return profile
        problem = f"is for {profile.space} pixels, not for {space}"
    logger.warning("%s: its colour profile %s; read as sRGB", name, problem)
    return None


def _through_profile(image: Image.Image, icc_profile: bytes, name: str) -> tuple[Image.Image, bytes | None]:
    """An RGB image, and the profile it is in."""
    if image.mode == "LAB":  # means the same colours everywhere
        return image.convert("RGB"), None
    space = _SPACES.get(image.mode, "RGB")
    profile = find_profile(icc_profile, space, name)
    if profile is None:
        return image.convert("RGB"), None
    if profile.matrix is not None:
        return image.convert("RGB"), icc_profile
    if profile.space == "RGB":
        logger.warning("%s: its colour profile is made of tables, from which there is no way back; now sRGB", name)
        mode, intent = "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    else:
        mode, intent = "CMYK" if space == "CMYK" else "L", ImageCms.Intent.PERCEPTUAL
    source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)), ImageCms.createProfile("sRGB")
    try:
        converted = ImageCms.profileToProfile(image.convert(mode), source, srgb, intent, outputMode="RGB")
    except ImageCms.PyCMSError as error:  # a table may be missing or broken
        logger.warning("%s: its colour profile can't be applied (%s); read as sRGB", name, error)
        return image.convert("RGB"), None
    assert converted is not None  # None only when asked to convert in place
    return converted, None
