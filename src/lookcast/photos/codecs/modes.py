"""Conversion of pixels with any Pillow mode and any colour profile to RGB. The log reports unusable profiles."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lookcast.photos.icc import PERCEPTUAL, SRGB, ProfileError, grey_to_srgb, read_profile, transform
from lookcast.photos.photo import CODEC_ERRORS, PhotoError, Pixels, logger, to_8_bits, to_16_bits

_BAND = 1 << 20  # number of pixels that are converted at a time; Pillow stores an RGB pixel in four bytes
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0


class DecodedPixels(NamedTuple):
    """Decoded pixels in stored orientation.

    Attributes:
        colors: RGB values `(H, W, 3)`.
        alpha: alpha channel `(H, W)`; None without transparency.
        icc_profile: RGB profile of the colours, to which sRGB can be converted; None stands for sRGB.
    """

    colors: Pixels
    alpha: Pixels | None
    icc_profile: bytes | None


def to_rgb(image: Image.Image, name: str) -> DecodedPixels:
    """Convert a Pillow image of any mode to 8-bit RGB, in strips.

    16-bit and floating-point grey is scaled to 8 bits (Pillow would clip the values). Every form of transparency
    (palette, one transparent colour, premultiplied alpha) becomes an alpha channel. `through_profile` describes the
    conversion of colours.

    Args:
        image: Pillow image of any mode and size.
        name: name of the image, for messages.

    Raises:
        PhotoError: integers lie outside 0..65535, floating-point values lie outside [0, 1], or the decoded size differs
            from the stated size.
    """
    width, height = image.size
    image.load()
    if image.width * image.height != width * height:  # an icon holds a picture with a size of its own
        raise PhotoError(f"{name}: broken, it states the size {width}x{height} and another size")
    numbers = image.mode.startswith("I") or image.mode == "F"
    if numbers:
        _check_range(image, name)
    transparent = image.has_transparency_data or image.mode == "La"
    bands = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK"}
    mode = "L" if numbers else bands.get(image.mode, "RGB")
    # In a TIFF with WhiteIsZero, Pillow inverts 8-bit samples, but not 16-bit and 32-bit samples.
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
    # Lab colours are independent of a profile: Pillow converts them to sRGB.
    icc_profile = None if image.mode == "LAB" else image.info.get("icc_profile") or None
    return through_profile(values, alpha, icc_profile, name)


def through_profile(values: Pixels, alpha: Pixels | None, icc_profile: bytes | None, name: str) -> DecodedPixels:
    """Convert grey, RGB or CMYK pixels with any profile to RGB pixels of the same bit depth.

    Grey and CMYK pixels are converted to sRGB. RGB pixels keep their profile if it is reversible, that is, if sRGB can
    be converted to the profile. Otherwise the pixels are converted to sRGB, and the log warns about the conversion.
    Grey pixels with an RGB profile count as RGB pixels.

    Args:
        values: pixels: `(H, W, 1)` for grey, `(H, W, 3)` for RGB or `(H, W, 4)` for CMYK.
        alpha: alpha channel, returned unchanged.
        icc_profile: ICC profile of the pixels; None stands for sRGB.
        name: name of the photo, for messages.
    """
    space = {1: "GRAY", 3: "RGB", 4: "CMYK"}[values.shape[2]]
    profile = None
    if icc_profile is not None:
        try:
            profile = read_profile(icc_profile)
        except ProfileError as error:
            logger.warning("%s: its colour profile can't be read (%s); read as sRGB", name, error)
        else:
            # An RGB profile is valid for grey pixels too: a grey level stands for three equal RGB levels.
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
            logger.warning("%s: its colour profile has no table from sRGB to the profile; converted to sRGB", name)
            converted = transform(colors, icc_profile, SRGB, "RGB", dtype)
    except CODEC_ERRORS as error:  # a table may be missing or broken
        logger.warning("%s: its colour profile can't be applied (%s); read as sRGB", name, error)
        converted = _without_profile(values)
    return DecodedPixels(converted, alpha, None)


def _without_profile(values: Pixels) -> Pixels:
    """Convert grey, RGB or CMYK to RGB as Pillow does. For CMYK in [0, 1]: R = (1 - C) (1 - K); G and B alike."""
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
    """Raise a `PhotoError` for samples outside the supported range, before any strip is converted."""
    extrema: Any = image.getextrema() if image.mode in ("I", "F") else None
    if extrema is not None:
        to_16_bits(np.array(extrema, np.int64 if image.mode == "I" else np.float32), name)
