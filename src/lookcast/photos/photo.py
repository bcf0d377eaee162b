"""What a photo file holds."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lookcast.checks import InputError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_NEAREST = np.rint(np.arange(65536) / 257).astype(np.uint8)  # a table takes no room for 32 bits of every pixel


class PhotoError(InputError):
    """One photo can't be read or written; the message names the file. Others of the same run may well work."""


class Photo(NamedTuple):
    """A photo the right way up, and what belongs to it.

    Attributes:
        pixels: `(H, W, 3)` RGB, uint8 or uint16.
        alpha: `(H, W)` of the same depth; None without transparency.
        exif: as Pillow reads and writes it, upright and without the preview; None where there is none.
        icc_profile: the RGB colour profile of the pixels, which `color_profiles` can convert; None is sRGB.
        xmp: an XMP packet without orientation and previews; None where there is none.
        iptc: IPTC records; None where there are none.
        dpi: resolution in print, horizontal and vertical; None where it is not said.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None


def with_alpha(photo: Photo) -> Pixels:
    """Pixels and alpha in one contiguous array: `(H, W, 3)`, or `(H, W, 4)` with transparency."""
    together: Any = photo.pixels if photo.alpha is None else np.dstack((photo.pixels, photo.alpha))
    return np.ascontiguousarray(together)


def to_8_bits(levels: Pixels) -> npt.NDArray[np.uint8]:
    """Round uint16 to the nearest of 256 levels; uint8 stays as it is."""
    rounded: npt.NDArray[np.uint8] = (
        levels.astype(np.uint8, copy=False) if levels.dtype == np.uint8 else _NEAREST.take(levels)
    )
    return rounded
