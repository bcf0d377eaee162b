"""Photos in another RGB than sRGB: to sRGB for the network, and back into their own profile afterwards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

from lookcast.checks import InputError
from lookcast.photos.icc_tags import LEVELS, Profile, read_profile
from lookcast.photos.photo import Pixels, to_8_bits

_BAND = 1 << 16  # pixels at a time: floats of so many stay in the cache
_LAST = LEVELS - 1
_SAME = 2 * 257  # two levels of 8 bits: so far are profiles apart that all call themselves sRGB

Levels = npt.NDArray[np.uint16]


class _Space(NamedTuple):
    """An RGB space, ready for pixels.

    Attributes:
        matrix: XYZ of the light of its primaries.
        light: for each channel the light of each level.
        levels: for each channel the level of each root of light: evenly spaced light is too coarse for shadows.
    """

    matrix: npt.NDArray[np.float64]
    light: tuple[npt.NDArray[np.float32], ...]
    levels: tuple[Levels, ...]


def grey_to_srgb(grey: Levels, profile: Profile) -> Levels:
    """Levels of grey in a profile of grey, which has a curve, as levels of sRGB."""
    assert profile.curves is not None
    roots = np.sqrt(profile.curves[0]) * _LAST
    levels: Levels = _srgb().levels[0].take(np.rint(roots).astype(np.uint16)).take(grey)
    return levels


def to_srgb(pixels: Pixels, icc_profile: bytes | None) -> Pixels:
    """Pixels as sRGB: uint16, so that no step between levels is lost; these very pixels where they are sRGB already.

    Profiles that do what sRGB does, to two levels of 8 bits, count as sRGB, whatever their names are. Relative
    colorimetric: white stays white. Colours outside sRGB are clipped, channel by channel; `from_srgb` brings
    them back.

    Args:
        pixels: `(..., 3)`.
        icc_profile: what they are in, RGB of curves and a matrix, as `read_photo` and `to_rgb` hand out no other; None
            is sRGB.

    Raises:
        InputError: another or a broken profile.
    """
    space = _space(icc_profile)
    return pixels if space is None else _convert(pixels, space, _srgb())


def from_srgb(stylized: Pixels, srgb: Pixels, pixels: Pixels, icc_profile: bytes | None) -> Pixels:
    """The way back of `to_srgb` for what became of its result, in the depth of the photo.

    What clipping took from a colour outside sRGB is added again, as far as the look keeps the direction of the colour:
    all of it where `stylized` is `srgb`, so that a photo comes back as it was, none where the look made it grey.

    Args:
        stylized: `(..., 3)`, made from `srgb`.
        srgb: what `to_srgb` made of the photo.
        pixels: the photo.
        icc_profile: what it is in; None is sRGB.

    Raises:
        InputError: another or a broken profile, or arrays that do not fit together.
    """
    space = _space(icc_profile)
    if space is None:
        return stylized
    if not (stylized.shape == srgb.shape == pixels.shape and stylized.dtype == srgb.dtype):
        sizes = ", ".join(f"{array.shape} of {array.dtype}" for array in (stylized, srgb, pixels))
        raise InputError(f"stylized, srgb, pixels: expected one shape, and one depth of the first two, got {sizes}")
    result = _convert(stylized, _srgb(), space)
    rows, looks, clipped, own = (array.reshape(-1, 3) for array in (result, stylized, srgb, pixels))
    _in_bands(lambda band: _unclip(rows[band], looks[band], clipped[band], own[band], space), len(rows))
    return result if pixels.dtype == np.uint16 else to_8_bits(result)


@lru_cache(maxsize=8)
def _space(icc_profile: bytes | None) -> _Space | None:
    """None where it is sRGB."""
    if icc_profile is None:
        return None
    profile = read_profile(icc_profile)
    if profile.matrix is None:
        raise InputError(f"icc_profile: expected RGB with curves and a matrix, got {profile.space} with tables")
    space = _prepare(profile)
    steps = np.linspace(0, _LAST, 16).astype(np.uint16)
    ramp = np.arange(0, LEVELS, 257)[:, None].repeat(3, 1).astype(np.uint16)
    colors = np.concatenate((np.stack(np.meshgrid(steps, steps, steps), 3).reshape(-1, 3), ramp))
    change = np.abs(_convert(colors, space, _srgb()).astype(np.int32) - colors)
    return None if change.max() < _SAME else space


@lru_cache(maxsize=1)
def _srgb() -> _Space:
    return _prepare(read_profile(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()))


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
    """From space to space, clipped."""
    matrix = (np.linalg.inv(target.matrix) @ source.matrix).astype(np.float32)
    tables = [table if pixels.dtype == np.uint16 else table[::257] for table in source.light]
    result = np.empty(pixels.shape, np.uint16)
    before, after = pixels.reshape(-1, 3), result.reshape(-1, 3)

    def convert(band: slice) -> None:
        light = matrix @ np.stack([table.take(before[band, c]) for c, table in enumerate(tables)])
        roots = np.sqrt(light.clip(0, 1, out=light), out=light)
        roots *= _LAST
        roots += 0.5  # the conversion to integers rounds down
        for c, table in enumerate(target.levels):
            after[band, c] = table.take(roots[c].astype(np.uint16))

    _in_bands(convert, len(before))
    return result


def _unclip(result: Pixels, stylized: Pixels, srgb: Pixels, pixels: Pixels, space: _Space) -> None:
    """Add to a band of the result, in place, what clipping took from the photo."""
    at_end = srgb - np.uint16(1) >= _LAST - 1  # 0 wraps around: the first level or the last
    clipped = np.flatnonzero(at_end[:, 0] | at_end[:, 1] | at_end[:, 2])
    if not len(clipped):
        return
    before, after = srgb.take(clipped, 0), stylized.take(clipped, 0)
    original = pixels.take(clipped, 0) * np.float32(_LAST / np.iinfo(pixels.dtype).max)
    lost = original - _convert(before, _srgb(), space)
    restored = result.take(clipped, 0) + _kept_chroma(before, after)[:, None] * lost
    result[clipped] = np.rint(restored).clip(0, _LAST).astype(np.uint16)


def _kept_chroma(before: Pixels, after: Pixels) -> npt.NDArray[np.float32]:
    """Share in [0, 1] of each colour's distance from grey that lies in another colour."""
    # As planes, which numpy sums faster.
    old, new = (np.ascontiguousarray(colors.T, np.float32) for colors in (before, after))
    old, new = old - old.mean(0), new - new.mean(0)
    length = np.square(old).sum(0)
    share: npt.NDArray[np.float32] = np.divide((old * new).sum(0), length, out=np.ones_like(length), where=length > 0)
    return share.clip(0, 1)


def _in_bands(work: Callable[[slice], None], count: int) -> None:
    bands = [slice(start, start + _BAND) for start in range(0, count, _BAND)]
    if len(bands) == 1:  # the few colours of a test or of a band need no threads
        work(bands[0])
        return
    with ThreadPoolExecutor() as pool:
        list(pool.map(work, bands))
