"""Datasets of random windows of training photos, and of whole validation photos."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from lookcast.checks import InputError
from lookcast.data.sampling import seed_of, shuffled
from lookcast.data.sources.base import DecodedPhoto, PhotoSource
from lookcast.data.transforms import Window, draw_parts, draw_window, shrink_to
from lookcast.photos.read import PhotoError

MAX_SKIPPED = 100
"""Maximum number of consecutive unreadable photos. More unreadable photos indicate a fault of a disk, mount or path."""


class PhotoSample(NamedTuple):
    """A window of a photo, or a whole photo, before `BatchTransform`.

    Attributes:
        pixels: `(3, h, w)`, uint8.
        labels: `(1, h, w)`, uint8; None if unmasked.
        flip: True to mirror the window.
        position: position of the sample in the run; for a validation photo, the index in the validation set.
        seed: seed of the random draws for this sample in `BatchTransform`.
        skipped: one text `path: reason` for each unreadable photo that was skipped before this photo.
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None
    flip: bool
    position: int
    seed: int
    skipped: tuple[str, ...]


class PairSample(NamedTuple):
    """A content photo and the style photo drawn for it; `same` is True if both are windows of one photo."""

    content: PhotoSample
    style: PhotoSample
    same: bool


class TrainPhotos(Dataset[PhotoSample]):
    """Endless dataset of random photo windows; the same position always gives the same window.

    An unreadable photo is replaced by the next readable photo, and listed in `PhotoSample.skipped`.

    Args:
        source: the training photos.
        scale: smallest and largest area of a window, as a share of the photo's area.
        seed: seed of the run.
        role: `content` or `style`. The role is a part of the random seed, so that contents and styles of one run have
            different windows.
    """

    def __init__(self, source: PhotoSource, scale: tuple[float, float], seed: int, role: str = "content") -> None:
        self.source, self.scale, self.seed, self.role = source, scale, seed, role

    def photo_number(self, position: int) -> int:
        """Return the number of the photo at a position; every epoch contains each photo once."""
        return shuffled(position, len(self.source), self.seed)

    def __getitem__(self, position: int) -> PhotoSample:
        """Return the window at a position.

        Raises:
            InputError: no photo of the source can be read, or `MAX_SKIPPED` consecutive photos can't be read.
        """
        return self.window(self.photo_number(position), position)

    def window(self, number: int, position: int, part: tuple[float, float] = (0.0, 1.0)) -> PhotoSample:
        """Cut the window for a position out of the photo with the given number.

        Args:
            number: number of the photo.
            position: position of the sample in the run; it decides the random draws.
            part: section of the photo in which the window lies: start and end along the longer side, in [0, 1].
        """
        skipped: list[str] = []
        photo = read_or_skip(self.source, number, skipped)
        seed = seed_of(self.seed, self.role, position)
        with torch_seed(seed):
            window = draw_window(photo.pixels.shape[:2], self.scale, part)
        return _sample(photo, window, position, seed, skipped)


class TrainPairs(Dataset[PairSample]):
    """Endless dataset of pairs: a content window, and a window of a random style photo.

    The same position always gives the same pair.

    Args:
        contents: the photos to change.
        styles: the photos that give the look; `contents` and `styles` may share one source.
        same_share: share of the pairs in which content and style are two windows of one photo, which overlap little.
            The share must be 0 if contents and styles have different sources.
    """

    def __init__(self, contents: TrainPhotos, styles: TrainPhotos, same_share: float = 0.0) -> None:
        self.contents, self.styles, self.same_share = contents, styles, same_share

    def __getitem__(self, position: int) -> PairSample:
        """Return the pair at a position."""
        with torch_seed(seed_of(self.contents.seed, "pair", position)):
            other = int(torch.randint(len(self.styles.source), ()))
            same = float(torch.rand(())) < self.same_share
            parts = draw_parts() if same else ((0.0, 1.0), (0.0, 1.0))
        number = self.contents.photo_number(position)
        content = self.contents.window(number, position, parts[0])
        return PairSample(content, self.styles.window(number if same else other, position, parts[1]), same)


class ValPhotos(Dataset[PhotoSample]):
    """Whole validation photos in order, at most `max_side` px on the longer side.

    Args:
        source: the source that holds the validation photos.
        numbers: numbers of the validation photos in the source.
        max_side: maximum length of the longer side in pixels, see `shrink_to`.
    """

    def __init__(self, source: PhotoSource, numbers: Sequence[int], max_side: int) -> None:
        self.source, self.numbers, self.max_side = source, list(numbers), max_side

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> PhotoSample:
        """Return the photo at an index. An unreadable photo is replaced by the next readable photo."""
        skipped: list[str] = []
        photo = read_or_skip(self.source, self.numbers[index], skipped)
        # The word "judged" is a part of the seed. Another word would change all validation metrics.
        sample = _sample(photo, None, index, seed_of("judged", index), skipped)
        return sample._replace(
            pixels=shrink_to(sample.pixels, self.max_side),
            labels=None if sample.labels is None else shrink_to(sample.labels, self.max_side, labels=True),
        )


class ValPairs(Dataset[PairSample]):
    """Validation pairs: pair i holds content i and style (i + N // 2) mod N, where N is the number of styles.

    If contents and styles are the same photos, no photo is its own style (for N > 1).

    Args:
        contents: the validation photos to change.
        styles: the validation photos that give the look; may be the same photos as `contents`.
    """

    def __init__(self, contents: ValPhotos, styles: ValPhotos) -> None:
        self.contents, self.styles = contents, styles

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, index: int) -> PairSample:
        count = len(self.styles)
        return PairSample(self.contents[index], self.styles[(index + count // 2) % count], same=False)


def read_or_skip(source: PhotoSource, number: int, skipped: list[str]) -> DecodedPhoto:
    """Read the photo with the given number, or the next readable photo if this photo is unreadable.

    After the last photo, the search goes on at photo 0. Each unreadable photo appends `path: reason` to `skipped`.

    Raises:
        InputError: no photo of the source can be read, or `MAX_SKIPPED` consecutive photos can't be read.
    """
    for other in range(number, number + min(len(source), MAX_SKIPPED)):
        try:
            return source.read(other % len(source))
        except PhotoError as error:
            skipped.append(str(error))
    if len(skipped) == len(source):
        raise InputError(f"photos: none of the {len(source)} photos can be read; first error: {skipped[0]}")
    raise InputError(
        f"photos: {len(skipped)} consecutive photos of {len(source)} can't be read; first error: {skipped[0]}"
    )


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator for a `with` block, and restore the generator's state at the end."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _sample(
    photo: DecodedPhoto, window: Window | None, position: int, seed: int, skipped: Sequence[str]
) -> PhotoSample:
    whole = Window(0, 0, photo.pixels.shape[0], photo.pixels.shape[1], False)
    top, left, height, width, flip = window or whole
    rows, columns = slice(top, top + height), slice(left, left + width)
    # Copy the window: a view would send the whole photo from the worker to the main process.
    pixels = torch.from_numpy(np.ascontiguousarray(photo.pixels[rows, columns].transpose(2, 0, 1)))
    labels = None if photo.labels is None else torch.from_numpy(photo.labels[None, rows, columns].copy())
    return PhotoSample(pixels, labels, flip, position, seed, tuple(skipped))
