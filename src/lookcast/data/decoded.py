"""A photo as a data set gives it, and what a set of such photos is."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class DecodedPhoto(NamedTuple):
    """A photo to train on.

    Attributes:
        pixels: `(H, W, 3)`, uint8, sRGB.
        labels: `(H, W)`, uint8, each pixel's label among the colours of `ops.masks.PALETTE`; None without masks.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | None


class PhotoSource(Protocol):
    """Photos by number; the same number is always the same photo."""

    @property
    def fingerprint(self) -> str:
        """Tells sets apart: depends on how many photos there are and on their names, in their order."""
        ...

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """What messages call the photo."""
        ...

    def read(self, number: int) -> DecodedPhoto:
        """Decode the photo.

        Raises:
            PhotoError: it can't be read; `path: reason`.
        """
        ...
