"""The curves and the matrix that an ICC profile of RGB or grey is made of."""

import io
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

from lookcast.checks import InputError

LEVELS = 65536
_BROKEN = (OSError, ImageCms.PyCMSError, struct.error, ValueError, IndexError, ZeroDivisionError, FloatingPointError)
_TABLES = (b"A2B0", b"A2B1", b"A2B2")
# Names of the numbers g a b c d e f of a parametric curve, in the order of its five forms (ICC.1:2022, table 70).
_FORMS = ("g", "gab", "gabc", "gabcd", "gabcdef")


class ProfileError(InputError):
    """An ICC profile can't be read; the message says why."""


class Profile(NamedTuple):
    """What a colour profile does.

    Attributes:
        space: `RGB`, `GRAY`, `CMYK`...: what its pixels are.
        curves: `(3, 65536)`, or `(1, 65536)` for grey: the light, in [0, 1], of each level; None if the profile is
            made of tables.
        matrix: `(3, 3)`: XYZ, relative to D50, of the light of each primary; None for grey and for tables.
    """

    space: str
    curves: npt.NDArray[np.float64] | None = None
    matrix: npt.NDArray[np.float64] | None = None


def read_profile(icc_profile: bytes) -> Profile:
    """Read a profile; where it has tables beside a matrix, the tables are what counts, as for every reader.

    Raises:
        ProfileError: it is broken.
    """
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)).profile.xcolor_space.strip()
        tags = _tags(icc_profile)
        if any(table in tags for table in _TABLES):
            return Profile(space)
        if space == "GRAY" and b"kTRC" in tags:
            return Profile(space, _curve(tags[b"kTRC"])[None])
        if space == "RGB" and {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"} <= tags.keys():
            primaries = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
            matrix = np.array(primaries).T / 65536
            np.linalg.inv(matrix)  # refuses primaries between which there is nothing
            return Profile(space, np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]), matrix)
        return Profile(space)
    except (*_BROKEN, np.linalg.LinAlgError) as error:
        raise ProfileError(str(error)) from error


def _tags(icc_profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc_profile, 128)
    entries = [struct.unpack_from(">4s2I", icc_profile, 132 + 12 * number) for number in range(min(count, 100))]
    return {name: icc_profile[start : start + length] for name, start, length in entries}


def _curve(tag: bytes) -> npt.NDArray[np.float64]:
    """Light of each level by a curve tag; never falling, so that there is a way back."""
    levels = np.linspace(0, 1, LEVELS)
    (count,) = struct.unpack_from(">I", tag, 8)
    if tag[:4] == b"curv" and count > 1:
        points = np.frombuffer(tag, ">u2", count, 12) / 65535
        light = np.interp(levels, np.linspace(0, 1, count), points)
    elif tag[:4] == b"curv":
        light = levels ** (struct.unpack_from(">H", tag, 12)[0] / 256 if count else 1.0)
    elif tag[:4] == b"para":
        light = _parametric(levels, tag)
    else:
        raise ProfileError(f"a curve is of the unknown type {tag[:4]!r}")
    if not np.isfinite(light).all():
        raise ProfileError("a curve leaves the range of numbers")
    rising: npt.NDArray[np.float64] = np.maximum.accumulate(light.clip(0, 1))
    return rising


def _parametric(levels: npt.NDArray[np.float64], tag: bytes) -> npt.NDArray[np.float64]:
    """`(a x + b)^g + e` from d on, `c x + f` below."""
    names = _FORMS[struct.unpack_from(">H", tag, 8)[0]]
    numbers = [number / 65536 for number in struct.unpack_from(f">{len(names)}i", tag, 12)]
    p: dict[str, Any] = dict.fromkeys("bcef", 0.0) | {"a": 1.0} | dict(zip(names, numbers, strict=True))
    if "d" not in p:  # forms 2 and 3: constant (c, the third number) below the zero of a x + b
        p |= {"d": -p["b"] / p["a"], "c": 0.0, "e": p["c"], "f": p["c"]}
    power = np.maximum(p["a"] * levels + p["b"], 0) ** p["g"] + p["e"]
    light: npt.NDArray[np.float64] = np.where(levels >= p["d"], power, p["c"] * levels + p["f"])
    return light
