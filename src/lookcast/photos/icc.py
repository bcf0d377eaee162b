"""Read the curves and matrices of ICC colour profiles, and convert pixels between profiles by littlecms."""

import io
from functools import lru_cache
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import ImageCms

from lookcast.checks import InputError
from lookcast.photos.photo import CODEC_ERRORS, Pixels

LEVELS = 65536
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PERCEPTUAL, RELATIVE_COLORIMETRIC = 0, 1
_CHANNELS = {"GRAY": "gray", "RGB": "rgb", "CMYK": "cmyk"}
"""Colour spaces of photos. The keys are the names in ICC profiles; the values are the names in imagecodecs."""
_EXACT = 0x0100  # cmsFLAGS_NOOPTIMIZE: exact conversion, without an interpolated table of 33 nodes per axis
_FINE = 0x0400  # cmsFLAGS_HIGHRESPRECALC: an interpolated table of 49 nodes per axis
_INPUT, _OUTPUT = 0, 1


class ProfileError(InputError):
    """Error for an ICC profile that can't be read. The message states the reason."""


class Profile(NamedTuple):
    """The content of a colour profile.

    Attributes:
        space: colour space of the pixels: `RGB`, `GRAY`, `CMYK`, ...
        curves: array `(channels, 65536)` with 3 channels for RGB and 1 for grey. A row contains the linear light in
            [0, 1] of every 16-bit level. None for a profile with tables.
        matrix: matrix `(3, 3)` from linear RGB to XYZ relative to D50; None for grey and for a profile with tables.
        reversible: True if littlecms or this package can convert sRGB to the profile.
    """

    space: str
    curves: npt.NDArray[np.float64] | None = None
    matrix: npt.NDArray[np.float64] | None = None
    reversible: bool = False


@lru_cache(maxsize=8)
def read_profile(icc_profile: bytes) -> Profile:
    """Read a profile. If a profile has both tables and a matrix, use the tables, as littlecms does.

    Raises:
        ProfileError: the profile is broken.
    """
    try:
        core = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)).profile
        space = core.xcolor_space.strip()
        tables: Any = core.clut or {}
        if any(used[_INPUT] for used in tables.values()):
            return Profile(space, reversible=space == "RGB" and any(used[_OUTPUT] for used in tables.values()))
        if space == "GRAY":
            return Profile(space, _rising(_to_xyz(icc_profile, 1)[:, 1:2]))
        if space == "RGB" and core.is_matrix_shaper:
            # A colorant is the XYZ of a primary at full light.
            colorants: Any = (core.red_colorant, core.green_colorant, core.blue_colorant)
            matrix = np.array([xyz for xyz, _ in colorants]).T
            light = _to_xyz(icc_profile, 3) @ np.linalg.inv(matrix).T
            return Profile(space, _rising(light), matrix, reversible=True)
        if space in _CHANNELS:
            raise ProfileError("the profile has neither tables nor curves with a matrix")
    except ProfileError:
        raise
    except CODEC_ERRORS as error:
        raise ProfileError(" ".join(str(error).split())) from error
    return Profile(space)


def transform(
    values: npt.NDArray[Any], profile: bytes, target: bytes, space: str, dtype: str, intent: int = RELATIVE_COLORIMETRIC
) -> Any:
    """Convert pixels between profiles by littlecms.

    Grey is converted exactly. For RGB and CMYK, littlecms may interpolate in a table of 49 nodes per axis.

    Args:
        values: pixels `(N, C)` or `(H, W, C)` with C channels, uint8 or uint16.
        profile: ICC profile of the pixels.
        target: ICC profile of the result, an RGB profile.
        space: colour space of the pixels: `RGB`, `GRAY` or `CMYK`.
        dtype: type of the result: `uint8` or `uint16`.
        intent: rendering intent.

    Returns:
        RGB pixels `(N, 3)` or `(H, W, 3)`.

    Raises:
        RuntimeError: littlecms refuses a profile, for example because a table is missing.
    """
    channels = (values.shape[-1],) if space != "GRAY" else ()
    flat = np.ascontiguousarray(values).reshape(-1, 1, *channels)
    converted = imagecodecs.cms_transform(
        flat,
        profile,
        target,
        colorspace=_CHANNELS[space],
        outcolorspace="rgb",
        outdtype=dtype,
        intent=intent,
        flags=_FINE if space != "GRAY" else _EXACT,
    )
    return converted.reshape(*values.shape[:-1], 3)


def grey_to_srgb(grey: Pixels, icc_profile: bytes) -> Pixels:
    """Convert grey pixels `(H, W, 1)` from a grey profile to sRGB pixels `(H, W, 3)` of the same type.

    Raises:
        RuntimeError: littlecms refuses the profile.
    """
    levels = np.arange(np.iinfo(grey.dtype).max + 1, dtype=grey.dtype)[:, None]
    table: Pixels = transform(levels, icc_profile, SRGB, "GRAY", grey.dtype.name)
    # Grey has three equal channels in sRGB, so one channel of the table is enough.
    converted = np.empty((*grey.shape[:2], 3), grey.dtype)
    for source, result in zip(grey[..., 0], converted, strict=True):
        result[:] = table[:, 1].take(source)[:, None]
    return converted


def _to_xyz(icc_profile: bytes, channels: int) -> npt.NDArray[np.float64]:
    """Return the XYZ, relative to D50, of grey pixels of every 16-bit level: `(65536, 3)`, a row for each level."""
    ramp = np.arange(LEVELS, dtype=np.uint16)[:, None]
    xyz: npt.NDArray[np.float64] = imagecodecs.cms_transform(
        ramp[..., None].repeat(3, 2) if channels == 3 else ramp,
        icc_profile,
        imagecodecs.cms_profile("xyz"),
        colorspace="rgb" if channels == 3 else "gray",
        outcolorspace="xyz",
        outdtype="float64",
        intent=RELATIVE_COLORIMETRIC,
        flags=_EXACT,
    )[:, 0]
    return xyz


def _rising(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert linear light `(levels, channels)` to curves `(channels, levels)` in [0, 1] that never decrease.

    A curve that never decreases can be inverted.
    """
    if not np.isfinite(light).all():
        raise ProfileError("a curve has values that are not finite")
    curves: npt.NDArray[np.float64] = np.maximum.accumulate(light.T.clip(0, 1), axis=1)
    if (curves[:, -1] <= curves[:, 0]).any():
        raise ProfileError("a curve maps every level to the same light")
    return np.ascontiguousarray(curves)
