"""Conversion of all modes of Pillow and all colour profiles to RGB, without a silent loss."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lookcast.photos.icc import PERCEPTUAL, SRGB, ProfileError, grey_to_srgb, read_profile, transform
from lookcast.photos.photo import CODEC_ERRORS, Pixels, logger, to_8_bits, to_16_bits

_BAND = 1 << 20  # pixels at a time: Pillow takes four bytes for each pixel of RGB
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0


class DecodedPixels(NamedTuple):
    """Pixels in stored orientation.

    Attributes:
        colors: `(H, W, 3)` RGB.
        alpha: `(H, W)`; None without transparency.
        icc_profile: the profile of the colours, RGB and reversible; None is sRGB.
    """

    colors: Pixels
    alpha: Pixels | None
    icc_profile: bytes | None


def to_rgb(image: Image.Image, name: str) -> DecodedPixels:
    """Convert a Pillow image of any mode to 8-bit RGB, a strip at a time.

    16-bit and floating point grey is scaled to 8 bits (Pillow alone clips it). Transparency in any form (palette, one
    transparent colour, premultiplied) becomes an alpha channel. For the colours see `through_profile`.

    Args:
        image: any mode and size.
        name: of the image, for messages.

    Raises:
        PhotoError: integers or floats whose range is not known: outside 0..65535 or outside 0..1.
    """
    image.load()
    numbers = image.mode.startswith("I") or image.mode == "F"
    if numbers:
        _check_range(image, name)
    transparent = image.has_transparency_data or image.mode == "La"
    bands = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK"}
    mode = "L" if numbers else bands.get(image.mode, "RGB")
    # Pillow inverts such a TIFF at 8 bits, but not at 16 and 32.
    inverted = numbers and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    values = np.empty((image.height, image.width, len(mode)), np.uint8)
    alpha = np.empty(values.shape[:2], np.uint8) if transparent else None
    rows = max(1, _BAND // max(1, image.width))
    for top in range(0, image.height, rows):
        strip: Any = image.crop((0, top, image.width, min(top + rows, image.height)))
        if numbers:
            levels = to_8_bits(to_16_bits(np.asarray(strip), name))
            strip = Image.fromarray(np.invert(levels) if inverted else levels)
        elif transparent:
            strip = strip.convert("LA" if mode == "L" and image.mode != "1" else "RGBA")
            assert alpha is not None
            alpha[top : top + rows] = np.asarray(strip.getchannel("A"))
        values[top : top + rows] = np.asarray(strip.convert(mode)).reshape(-1, image.width, len(mode))
    # Lab means the same colours everywhere: Pillow converts it to sRGB.
    icc_profile = None if image.mode == "LAB" else image.info.get("icc_profile") or None
    return through_profile(values, alpha, icc_profile, name)


def through_profile(values: Pixels, alpha: Pixels | None, icc_profile: bytes | None, name: str) -> DecodedPixels:
    """Convert grey, RGB and CMYK in any profile to RGB of the same depth.

    Grey and CMYK are converted to sRGB. RGB keeps its profile, unless there is no way back into it: then it is
    converted to sRGB too, with a warning in the log.

    Args:
        values: `(H, W, 1)` grey, `(H, W, 3)` RGB or `(H, W, 4)` CMYK.
        alpha: passed on.
        icc_profile: their profile; None is sRGB.
        name: of the photo, for messages.
    """
    space = {1: "GRAY", 3: "RGB", 4: "CMYK"}[values.shape[2]]
    profile = None
    if icc_profile is not None:
        try:
            profile = read_profile(icc_profile)
        except ProfileError as error:
            logger.warning("%s: its colour profile can't be read (%s); read as sRGB", name, error)
        else:
            # An RGB profile serves grey pixels too: their levels are levels of that profile.
            if profile.space != space and (profile.space, space) != ("RGB", "GRAY"):
                logger.warning(
                    "%s: its colour profile is for %s pixels, not for %s; read as sRGB", name, profile.space, space
                )
                profile = None
    if profile is None or icc_profile is None:
        return DecodedPixels(_without_profile(values), alpha, None)
    if profile.reversible:
        return DecodedPixels(_without_profile(values), alpha, icc_profile)
    try:
        if profile.space == "GRAY":
            return DecodedPixels(grey_to_srgb(values, icc_profile), alpha, None)
        colors = values if space == "CMYK" else _without_profile(values)
        dtype = values.dtype.name
        if space == "CMYK":
            converted = transform(colors, icc_profile, SRGB, "CMYK", dtype, PERCEPTUAL)
        else:
            logger.warning("%s: its colour profile has tables, but none for the way back; converted to sRGB", name)
            converted = transform(colors, icc_profile, SRGB, "RGB", dtype)
    except CODEC_ERRORS as error:  # a table may be missing or broken
        logger.warning("%s: its colour profile can't be applied (%s); read as sRGB", name, error)
        converted = _without_profile(values)
    return DecodedPixels(converted, alpha, None)


def _without_profile(values: Pixels) -> Pixels:
    """Convert grey, RGB or CMYK to RGB, as Pillow does: each ink takes its share of the light that black leaves."""
    if values.shape[2] == 3:
        return values
    converted: Any = np.empty((*values.shape[:2], 3), values.dtype)
    last = np.iinfo(values.dtype).max
    for row, result in zip(values, converted, strict=True):
        if values.shape[2] == 1:
            result[:] = row
        else:
            light: Any = last - row.astype(np.uint32)
            result[:] = (light[:, :3] * light[:, 3:] + last // 2) // last
    colors: Pixels = converted
    return colors


def _check_range(image: Image.Image, name: str) -> None:
    """Refuse numbers whose range is not known, before a strip of them is converted."""
    extrema: Any = image.getextrema() if image.mode in ("I", "F") else None
    if extrema is not None:
        to_16_bits(np.array(extrema, np.int64 if image.mode == "I" else np.float32), name)
