"""A photo as a worker hands it out: decoded, and nothing done to it yet."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class DecodedPhoto(NamedTuple):
    """The pixels of a photo and the regions of its mask.

    Attributes:
        pixels: `(H, W, 3)`, sRGB.
        labels: `(H, W)`, 0 to 8 in the order of `ops.masks.PALETTE`; None without a mask.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | None
