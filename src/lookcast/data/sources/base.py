"""The interface of photo sources, and two sources that wrap another source."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class DecodedPhoto(NamedTuple):
    """The decoded pixels of a photo, with labels if the photo has a mask.

    Attributes:
        pixels: `(H, W, 3)`, uint8, sRGB.
        labels: `(H, W)`, uint8, the index of each pixel's colour in `ops.masks.PALETTE`; None if unmasked.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | None


class PhotoSource(Protocol):
    """A source of numbered photos; the same number always gives the same photo."""

    @property
    def fingerprint(self) -> str:
        """Text that identifies the source: a hash of the number of photos and of their names in order."""
        ...

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """Return the name of a photo for messages."""
        ...

    def read(self, number: int) -> DecodedPhoto:
        """Decode a photo.

        Raises:
            PhotoError: the photo can't be read; the message is `path: reason`.
        """
        ...


class Subset:
    """A source that leaves out some photos of another source.

    Args:
        source: the source of all photos.
        left_out: numbers of the photos to leave out, ascending.
    """

    def __init__(self, source: PhotoSource, left_out: Sequence[int]) -> None:
        self.source = source
        # For each left-out photo: the number of remaining photos before that photo.
        self.before = np.asarray(left_out) - np.arange(len(left_out))

    def __len__(self) -> int:
        return len(self.source) - len(self.before)

    @property
    def fingerprint(self) -> str:
        """Text that identifies the source and the photos that are left out."""
        return f"{self.source.fingerprint}-{'-'.join(map(str, self.before))}"

    def name(self, number: int) -> str:
        """Return the name of a photo for messages."""
        return self.source.name(self._source_number(number))

    def read(self, number: int) -> DecodedPhoto:
        """Decode a photo."""
        return self.source.read(self._source_number(number))

    def _source_number(self, number: int) -> int:
        return number + int(np.searchsorted(self.before, number, side="right"))


class CachedPhotos:
    """A source that keeps decoded photos of another source in memory, up to a limit.

    In a run with few photos, decoding each photo again in every epoch would take a tenth of the training time.

    Args:
        source: the source of the photos.
        max_bytes: memory for decoded pixels and labels, in bytes.
    """

    def __init__(self, source: PhotoSource, max_bytes: int) -> None:
        self.source, self.free_bytes = source, max_bytes
        self.cached: dict[int, DecodedPhoto] = {}

    def __len__(self) -> int:
        return len(self.source)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the wrapped source."""
        return self.source.fingerprint

    def name(self, number: int) -> str:
        """Return the name of a photo for messages."""
        return self.source.name(number)

    def read(self, number: int) -> DecodedPhoto:
        """Return a photo from the cache, or decode the photo and add it to the cache if there is room."""
        if number in self.cached:
            return self.cached[number]
        photo = self.source.read(number)
        size = sum(array.nbytes for array in photo if array is not None)
        if size <= self.free_bytes:
            self.cached[number] = photo
            self.free_bytes -= size
        return photo
