"""The contract of a photo source, and two sources that wrap another one."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class DecodedPhoto(NamedTuple):
    """A photo to train on.

    Attributes:
        pixels: `(H, W, 3)`, uint8, sRGB.
        labels: `(H, W)`, uint8, the index of each pixel's colour in `ops.masks.PALETTE`; None if unmasked.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | None


class PhotoSource(Protocol):
    """Photos by number; the same number always gives the same photo."""

    @property
    def fingerprint(self) -> str:
        """Identify the source: a hash of the photos' number and names, in order."""
        ...

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """Return the name that messages use for a photo."""
        ...

    def read(self, number: int) -> DecodedPhoto:
        """Decode a photo.

        Raises:
            PhotoError: it can't be read; `path: reason`.
        """
        ...


class Subset:
    """A source without some of its photos.

    Args:
        source: all photos.
        left_out: numbers of the photos to leave out, ascending.
    """

    def __init__(self, source: PhotoSource, left_out: Sequence[int]) -> None:
        self.source = source
        # For each photo that is left out, the number of remaining photos before it.
        self.before = np.asarray(left_out) - np.arange(len(left_out))

    def __len__(self) -> int:
        return len(self.source) - len(self.before)

    @property
    def fingerprint(self) -> str:
        """Identify the source and the photos that are left out."""
        return f"{self.source.fingerprint}-{'-'.join(map(str, self.before))}"

    def name(self, number: int) -> str:
        """Return the name that messages use for a photo."""
        return self.source.name(self._source_number(number))

    def read(self, number: int) -> DecodedPhoto:
        """Decode a photo."""
        return self.source.read(self._source_number(number))

    def _source_number(self, number: int) -> int:
        return number + int(np.searchsorted(self.before, number, side="right"))


class CachedPhotos:
    """A source that keeps its first decoded photos in memory: decoding a handful repeatedly would cost a tenth.

    Args:
        source: the photos.
        max_bytes: memory for pixels and labels.
    """

    def __init__(self, source: PhotoSource, max_bytes: int) -> None:
        self.source, self.free_bytes = source, max_bytes
        self.cached: dict[int, DecodedPhoto] = {}

    def __len__(self) -> int:
        return len(self.source)

    @property
    def fingerprint(self) -> str:
        """Identify the source."""
        return self.source.fingerprint

    def name(self, number: int) -> str:
        """Return the name that messages use for a photo."""
        return self.source.name(number)

    def read(self, number: int) -> DecodedPhoto:
        """Return a cached photo, or decode it and cache it if there is room."""
        if number in self.cached:
            return self.cached[number]
        photo = self.source.read(number)
        size = sum(array.nbytes for array in photo if array is not None)
        if size <= self.free_bytes:
            self.cached[number] = photo
            self.free_bytes -= size
        return photo
