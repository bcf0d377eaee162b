"""Map-style datasets: random windows of training photos by position, whole validation photos by index."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from lookcast.checks import InputError
from lookcast.data.sampling import seed_of, shuffled
from lookcast.data.sources.base import DecodedPhoto, PhotoSource
from lookcast.data.transforms import Window, draw_window, shrink_to
from lookcast.photos.read import PhotoError

MAX_SKIPPED = 100
"""Maximum number of consecutive unreadable photos. More of them indicate another fault: a disk, a mount, a path."""


class PhotoSample(NamedTuple):
    """A window of a photo, or a whole photo, before `BatchTransform`.

    Attributes:
        pixels: `(3, h, w)`, uint8.
        labels: `(1, h, w)`, uint8; None if unmasked.
        flip: True to mirror the window.
        position: position in the run; for a validation photo its index.
        seed: seed of later draws for this sample.
        skipped: unreadable photos that were skipped to get this one, `path: reason`.
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None
    flip: bool
    position: int
    seed: int
    skipped: tuple[str, ...]


class PairSample(NamedTuple):
    """A content photo and the style photo drawn for it."""

    content: PhotoSample
    style: PhotoSample


class TrainPhotos(Dataset[PhotoSample]):
    """Random windows of photos by position, without end; a position always gives the same window.

    An unreadable photo is replaced by the next one and named in the sample.

    Args:
        source: the photos.
        scale: smallest and largest share of a photo's area in a window.
        seed: seed of the run.
        role: distinguishes the draws of several datasets of one run: `content` or `style`.
    """

    def __init__(self, source: PhotoSource, scale: tuple[float, float], seed: int, role: str = "content") -> None:
        self.source, self.scale, self.seed, self.role = source, scale, seed, role

    def photo_number(self, position: int) -> int:
        """Return the number of the photo at a position; each pass through the photos has each photo once."""
        return shuffled(position, len(self.source), self.seed)

    def __getitem__(self, position: int) -> PhotoSample:
        """Return the window at a position.

        Raises:
            InputError: none of the photos can be read, or `MAX_SKIPPED` in a row can't.
        """
        return self.window(self.photo_number(position), position)

    def window(self, number: int, position: int) -> PhotoSample:
        """Cut the window for a position out of a given photo."""
        skipped: list[str] = []
        photo = read_or_skip(self.source, number, skipped)
        seed = seed_of(self.seed, self.role, position)
        with torch_seed(seed):
            window = draw_window(photo.pixels.shape[:2], self.scale)
        return _sample(photo, window, position, seed, skipped)


class TrainPairs(Dataset[PairSample]):
    """Pairs of a content window and a randomly drawn style window; a position always gives the same pair.

    Args:
        contents: the photos to change.
        styles: the photos that give the look; they may come from the source of `contents`, under the same numbers.
        same_share: share of the pairs whose style is another window of the content's photo; 0 if the sources differ.
    """

    def __init__(self, contents: TrainPhotos, styles: TrainPhotos, same_share: float = 0.0) -> None:
        self.contents, self.styles, self.same_share = contents, styles, same_share

    def __getitem__(self, position: int) -> PairSample:
        """Return the pair at a position."""
        with torch_seed(seed_of(self.contents.seed, "pair", position)):
            other = int(torch.randint(len(self.styles.source), ()))
            same = float(torch.rand(())) < self.same_share
        number = self.contents.photo_number(position)
        return PairSample(
            self.contents.window(number, position), self.styles.window(number if same else other, position)
        )


class ValPhotos(Dataset[PhotoSample]):
    """Whole validation photos in order, at most `max_side` px on the longer side.

    Args:
        source: photos.
        numbers: numbers of the validation photos in the source.
        max_side: longer side in pixels.
    """

    def __init__(self, source: PhotoSource, numbers: Sequence[int], max_side: int) -> None:
        self.source, self.numbers, self.max_side = source, list(numbers), max_side

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> PhotoSample:
        """Return a photo, or the next readable one; see `TrainPhotos`."""
        skipped: list[str] = []
        photo = read_or_skip(self.source, self.numbers[index], skipped)
        # "judged" is a part of the seed: another word would change every validation figure.
        sample = _sample(photo, None, index, seed_of("judged", index), skipped)
        return sample._replace(
            pixels=shrink_to(sample.pixels, self.max_side),
            labels=None if sample.labels is None else shrink_to(sample.labels, self.max_side, labels=True),
        )


class ValPairs(Dataset[PairSample]):
    """Validation pairs: each content with the style half the list away, so that no photo is its own style.

    Args:
        contents: photos.
        styles: photos; they may be the same.
    """

    def __init__(self, contents: ValPhotos, styles: ValPhotos) -> None:
        self.contents, self.styles = contents, styles

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, index: int) -> PairSample:
        count = len(self.styles)
        return PairSample(self.contents[index], self.styles[(index + count // 2) % count])


def read_or_skip(source: PhotoSource, number: int, skipped: list[str]) -> DecodedPhoto:
    """Read a photo, or the next readable one; append `path: reason` of each skipped photo to `skipped`.

    Raises:
        InputError: none of the photos can be read, or `MAX_SKIPPED` in a row can't.
    """
    for other in range(number, number + min(len(source), MAX_SKIPPED)):
        try:
            return source.read(other % len(source))
        except PhotoError as error:
            skipped.append(str(error))
    if len(skipped) == len(source):
        raise InputError(f"photos: none of the {len(source)} can be read, first {skipped[0]}")
    raise InputError(
        f"photos: {len(skipped)} in a row, of {len(source)} in all, can't be read, the first of them {skipped[0]}"
    )


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator in a block, and restore its state at the end."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _sample(
    photo: DecodedPhoto, window: Window | None, position: int, seed: int, skipped: Sequence[str]
) -> PhotoSample:
    whole = Window(0, 0, photo.pixels.shape[0], photo.pixels.shape[1], False)
    top, left, height, width, flip = window or whole
    rows, columns = slice(top, top + height), slice(left, left + width)
    # Copies of the window: a view would send the whole photo to the other process.
    pixels = torch.from_numpy(np.ascontiguousarray(photo.pixels[rows, columns].transpose(2, 0, 1)))
    labels = None if photo.labels is None else torch.from_numpy(photo.labels[None, rows, columns].copy())
    return PhotoSample(pixels, labels, flip, position, seed, tuple(skipped))
