"""Convert photos from any RGB profile to sRGB for the network, and convert the results back to the profile.

There are two kinds of profiles. A profile with curves and a matrix is read by littlecms, and this module converts the
pixels in bands. The conversion takes 25 ms per 16-bit megapixel. The exact conversion of littlecms would take 300 ms,
and the fast conversion of littlecms has errors of up to six 8-bit levels. If a profile has tables, littlecms also
converts the pixels.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lookcast.checks import InputError
from lookcast.photos.icc import LEVELS, SRGB, Profile, read_profile, transform
from lookcast.photos.photo import CODEC_ERRORS, Pixels, to_8_bits
from lookcast.processes import deferred_interrupt

_BAND = 1 << 16  # number of pixels that are converted at a time; their floats fit in the cache
_TABLE_BAND = 1 << 22  # number of pixels per call of littlecms; every call prepares a table
_LAST = LEVELS - 1
_SAME = 2 * 257  # two 8-bit levels: the largest difference between profiles named sRGB

Levels = npt.NDArray[np.uint16]


class _Space(NamedTuple):
    """An RGB space with curves and a matrix, as tables for fast conversion.

    Attributes:
        matrix: matrix `(3, 3)` from linear RGB to XYZ.
        light: for each channel, a table that maps a 16-bit level to linear light.
        levels: for each channel, the inverse table, which maps the square root of linear light, scaled to 0..65535, to
            a 16-bit level. If the index were the light itself, the table would be too coarse for shadows.
    """

    matrix: npt.NDArray[np.float64]
    light: tuple[npt.NDArray[np.float32], ...]
    levels: tuple[Levels, ...]


class _Tables(NamedTuple):
    """An RGB space whose profile has tables; littlecms converts its pixels."""

    icc_profile: bytes


def to_srgb(pixels: Pixels, icc_profile: bytes | None) -> Pixels:
    """Convert pixels to 16-bit sRGB; return the pixels unchanged if their profile counts as sRGB.

    A profile counts as sRGB if the conversion to sRGB changes no test colour by two 8-bit levels or more; the name of
    the profile does not matter. The result has 16 bits, so that no two levels of the photo merge. The rendering intent
    is relative colorimetric: white stays white. Colours outside sRGB are clipped in each channel, and `from_srgb`
    restores these colours.

    Args:
        pixels: RGB values `(..., 3)`, uint8 or uint16.
        icc_profile: reversible RGB profile of the pixels, as `read_photo` returns it; None stands for sRGB.

    Raises:
        InputError: the profile is broken, or not a reversible RGB profile.
    """
    space = _space(icc_profile)
    if space is None:
        return pixels
    if isinstance(space, _Tables):
        return _by_littlecms(pixels, space.icc_profile, SRGB)
    return _convert(pixels, space, _srgb())


def from_srgb(stylized: Pixels, srgb: Pixels, pixels: Pixels, icc_profile: bytes | None) -> Pixels:
    """Convert a stylized sRGB image back to the profile and the bit depth of the photo.

    `to_srgb` clips colours outside sRGB. This function adds the clipped part again, multiplied by the share of the
    chroma of `srgb` that remains in `stylized`. The share is 1 where `stylized` equals `srgb`, so an unchanged photo
    keeps its exact values. The share is 0 where `stylized` is grey. For a profile with tables, the conversion to sRGB
    and back is not exact. This function corrects the error in the same way.

    Args:
        stylized: stylized image `(..., 3)` with the shape and type of `srgb`.
        srgb: the result of `to_srgb` for the photo.
        pixels: pixels of the photo in its profile.
        icc_profile: profile of the photo; None stands for sRGB.

    Raises:
        InputError: the profile is broken or not a reversible RGB profile, or the arrays differ in shape or type.
    """
    space = _space(icc_profile)
    if space is None:
        return stylized
    if not (stylized.shape == srgb.shape == pixels.shape and stylized.dtype == srgb.dtype):
        sizes = ", ".join(f"{array.shape} of {array.dtype}" for array in (stylized, srgb, pixels))
        raise InputError(f"stylized, srgb, pixels: expected one shape, and one depth of the first two, got {sizes}")
    outputs, before, own = (array.reshape(-1, 3) for array in (stylized, srgb, pixels))
    if isinstance(space, _Tables):
        after = _by_littlecms(outputs, SRGB, space.icc_profile)
        _add_inversion_error(after, outputs, before, own, space)
    else:
        after = _convert(outputs, _srgb(), space)
        _in_bands(lambda band: _unclip(after[band], outputs[band], before[band], own[band], space), len(after))
    result = after.reshape(stylized.shape)
    return result if pixels.dtype == np.uint16 else to_8_bits(result)


@lru_cache(maxsize=8)
def _space(icc_profile: bytes | None) -> _Space | _Tables | None:
    """Return the RGB space of a profile, or None if the profile counts as sRGB."""
    if icc_profile is None:
        return None
    profile = read_profile(icc_profile)
    if not profile.reversible:
        raise InputError(
            f"icc_profile: expected RGB with curves and a matrix, or tables in both directions, got {profile.space}"
        )
    steps = np.linspace(0, _LAST, 16).astype(np.uint16)
    ramp = np.arange(0, LEVELS, 257)[:, None].repeat(3, 1).astype(np.uint16)
    colors = np.concatenate((np.stack(np.meshgrid(steps, steps, steps), 3).reshape(-1, 3), ramp))
    space: _Space | _Tables
    if profile.matrix is not None:
        space = _prepare(profile)
        converted = _convert(colors, space, _srgb())
    else:
        space = _Tables(icc_profile)
        converted = _by_littlecms(colors, icc_profile, SRGB)
    change = np.abs(converted.astype(np.int32) - colors)
    return None if change.max() < _SAME else space


@lru_cache(maxsize=1)
def _srgb() -> _Space:
    return _prepare(read_profile(SRGB))


def _prepare(profile: Profile) -> _Space:
    assert profile.curves is not None
    assert profile.matrix is not None
    light_of_roots = np.linspace(0, 1, LEVELS) ** 2
    levels = [np.rint(np.interp(light_of_roots, curve, np.arange(LEVELS))) for curve in profile.curves]
    return _Space(
        profile.matrix,
        tuple(curve.astype(np.float32) for curve in profile.curves),
        tuple(table.astype(np.uint16) for table in levels),
    )


def _convert(pixels: Pixels, source: _Space, target: _Space) -> Levels:
    """Convert pixels from one space to another; clip colours outside the target space."""
    matrix = (np.linalg.inv(target.matrix) @ source.matrix).astype(np.float32)
    tables = [table if pixels.dtype == np.uint16 else table[::257] for table in source.light]
    result = np.empty(pixels.shape, np.uint16)
    before, after = pixels.reshape(-1, 3), result.reshape(-1, 3)

    def convert(band: slice) -> None:
        light = matrix @ np.stack([table.take(before[band, c]) for c, table in enumerate(tables)])
        roots = np.sqrt(light.clip(0, 1, out=light), out=light)
        roots *= _LAST
        roots += 0.5  # rounds to nearest, because the conversion to integers truncates
        for c, table in enumerate(target.levels):
            after[band, c] = table.take(roots[c].astype(np.uint16))

    _in_bands(convert, len(before))
    return result


def _unclip(result: Pixels, stylized: Pixels, srgb: Pixels, pixels: Pixels, space: _Space) -> None:
    """Add to a band of the result, in place, what `to_srgb` clipped from the colours of the photo; see `_restored`."""
    at_end = srgb - np.uint16(1) >= _LAST - 1  # level 0 wraps around to 65535, so this selects levels 0 and 65535
    clipped = np.flatnonzero(at_end[:, 0] | at_end[:, 1] | at_end[:, 2])
    if not len(clipped):
        return
    before, after = srgb.take(clipped, 0), stylized.take(clipped, 0)
    inverse = _convert(before, _srgb(), space)
    result[clipped] = _restored(result.take(clipped, 0), after, before, pixels.take(clipped, 0), inverse)


def _restored(result: Pixels, stylized: Pixels, srgb: Pixels, pixels: Pixels, inverse: Levels) -> Levels:
    """Add to `result` what the photo lost in the conversion to sRGB and back.

    The loss is `pixels - inverse`, where `inverse` is `srgb` converted back to the profile of the photo. Before it is
    added, the loss is multiplied by the share of chroma that the look keeps (`_kept_chroma`).
    """
    lost = pixels * np.float32(_LAST / np.iinfo(pixels.dtype).max) - inverse
    restored: Levels = np.rint(result + _kept_chroma(srgb, stylized)[:, None] * lost).clip(0, _LAST).astype(np.uint16)
    return restored


def _kept_chroma(before: Pixels, after: Pixels) -> npt.NDArray[np.float32]:
    """For each pixel, return the share in [0, 1] of the chroma of `before` that `after` keeps; 1 for a grey pixel."""
    # Channels come first, because numpy sums planes faster.
    old, new = (np.ascontiguousarray(colors.T, np.float32) for colors in (before, after))
    old, new = old - old.mean(0), new - new.mean(0)
    length = np.square(old).sum(0)
    share: npt.NDArray[np.float32] = np.divide((old * new).sum(0), length, out=np.ones_like(length), where=length > 0)
    return share.clip(0, 1)


def _by_littlecms(pixels: Pixels, source: bytes, target: bytes) -> Levels:
    try:
        converted: Levels = transform(pixels, source, target, "RGB", "uint16")
    except CODEC_ERRORS as error:
        raise InputError(f"icc_profile: littlecms can't convert it ({error})") from error
    return converted


def _add_inversion_error(result: Pixels, stylized: Pixels, srgb: Pixels, pixels: Pixels, space: _Tables) -> None:
    """Add to the result, in place, what the photo lost in the conversion to sRGB and back; see `_restored`."""
    for start in range(0, len(result), _TABLE_BAND):
        table_band = slice(start, start + _TABLE_BAND)
        inverse = _by_littlecms(srgb[table_band], SRGB, space.icc_profile)
        parts = (result[table_band], stylized[table_band], srgb[table_band], pixels[table_band])

        def restore(band: slice, parts: tuple[Pixels, ...] = parts, inverse: Levels = inverse) -> None:
            after, outputs, before, own = (part[band] for part in parts)
            after[:] = _restored(after, outputs, before, own, inverse[band])

        _in_bands(restore, len(inverse))


def _in_bands(work: Callable[[slice], None], count: int) -> None:
    bands = [slice(start, start + _BAND) for start in range(0, count, _BAND)]
    if len(bands) == 1:  # one band needs no threads
        work(bands[0])
        return
    with deferred_interrupt(), ThreadPoolExecutor() as pool:
        list(pool.map(work, bands))
