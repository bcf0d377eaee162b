"""Colour of clips: affine maps between the codes of a frame and R'G'B', and the refusal of other encodings."""

from functools import lru_cache
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt

from lookcast.checks import InputError

LIMITED, FULL = 1, 2
"""FFmpeg's numbers of the ranges of codes. In limited range, 8-bit luma goes from 16 to 235, chroma from 16 to 240."""
_UNSPECIFIED = 2
_BT709, _FCC, _BT601_PAL, _BT601_NTSC, _SMPTE240, _BT2020 = 1, 4, 5, 6, 7, 9
_WEIGHTS = {
    _BT709: (0.2126, 0.0722),
    _FCC: (0.30, 0.11),
    _BT601_PAL: (0.299, 0.114),
    _BT601_NTSC: (0.299, 0.114),
    _SMPTE240: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
}
"""Weights of R' and B' in luma, by FFmpeg's number of the matrix (ITU-T H.273, table 4)."""
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
_OTHER_TRANSFERS = {8: "linear", 9: "logarithmic", 10: "logarithmic", 17: "SMPTE ST 428"}
_SD_HEIGHT = 576
"""Largest height at which players take the matrix of BT.601 if a clip names none."""


class Codes(NamedTuple):
    """The affine maps between the codes of three planes and R'G'B' in [0, 1].

    Attributes:
        to_rgb: `(3, 4)`, from the codes of Y', Cb, Cr (or G', B', R') and 1 to R'G'B'.
        from_rgb: `(3, 4)`, the inverse.
        maximum: the largest code.
    """

    to_rgb: npt.NDArray[np.float64]
    from_rgb: npt.NDArray[np.float64]
    maximum: int


def codes_of(frame: av.VideoFrame) -> Codes:
    """Return the maps for the planes of a frame.

    A frame that names no matrix has BT.601 up to 576 rows and BT.709 above, as players assume. The transfer functions
    of BT.601, BT.709, BT.2020 and sRGB count as one, because displays show their values alike.

    Raises:
        InputError: the frame has a high dynamic range, or an encoding that is not known here.
    """
    check_transfer(frame.color_trc)
    depth = max(component.bits for component in frame.format.components)
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    if frame.format.is_rgb:
        return _codes(None, depth, full)
    matrix = frame.colorspace
    if matrix == _UNSPECIFIED:
        matrix = _BT601_NTSC if frame.height <= _SD_HEIGHT else _BT709
    if matrix not in _WEIGHTS:
        raise InputError(f"has the colour matrix {matrix} of H.273; those of BT.601, BT.709 and BT.2020 are read")
    return _codes(matrix, depth, full)


def check_transfer(transfer: int) -> None:
    """Refuse transfer functions of high dynamic range, and functions that are unlike the one of displays.

    Raises:
        InputError: the transfer function is refused.
    """
    if transfer in _HIGH_DYNAMIC_RANGE:
        raise InputError(
            f"has a high dynamic range ({_HIGH_DYNAMIC_RANGE[transfer]}), and looks are made for standard range; "
            "convert it first, for example with ffmpeg's filter tonemap"
        )
    if transfer in _OTHER_TRANSFERS:
        raise InputError(f"has a {_OTHER_TRANSFERS[transfer]} transfer function; grade it for a display first")


@lru_cache(maxsize=16)
def _codes(matrix: int | None, depth: int, full: bool) -> Codes:
    """Return the maps for codes of `depth` bits, by FFmpeg's number of the matrix; None for G', B' and R'."""
    if matrix is None:
        return _affine(np.eye(3)[[1, 2, 0]], depth, True, False)  # FFmpeg has R'G'B' in full range only
    red, blue = _WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    chroma_blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    chroma_red = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    return _affine(np.stack([luma, chroma_blue, chroma_red]), depth, full, True)


def _affine(matrix: npt.NDArray[np.float64], depth: int, full: bool, has_chroma: bool) -> Codes:
    """Return the maps of a matrix from R'G'B' to the three planes, whose codes have `depth` bits."""
    unit, maximum = 1 << (depth - 8), (1 << depth) - 1
    scales = np.full(3, maximum if full else 219 * unit, np.float64)
    offsets = np.full(3, 0 if full else 16 * unit, np.float64)
    if has_chroma:
        scales[1:], offsets[1:] = (maximum if full else 224 * unit), 128 * unit
    forward = scales[:, None] * matrix
    backward = np.linalg.inv(forward)
    return Codes(np.hstack([backward, -backward @ offsets[:, None]]), np.hstack([forward, offsets[:, None]]), maximum)
