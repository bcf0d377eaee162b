"""The samples of a run: which photo stands at which position, what is cut out of it, and what is passed over."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from lookcast.checks import InputError
from lookcast.data.decoded import DecodedPhoto, PhotoSource
from lookcast.data.order import seed_of, shuffled
from lookcast.data.transforms import Window, draw_window, shrink_to
from lookcast.photos.read import PhotoError

MAX_SKIPPED = 100
"""So many photos in a row that can't be read are a fault of something else: of a disk, a mount, a path."""


class PhotoSample(NamedTuple):
    """A window of a photo, or a whole one, as it is stored; what is left to do is done on the device of the training.

    Attributes:
        pixels: `(3, h, w)`, uint8.
        labels: `(1, h, w)`, uint8; None without masks.
        flip: whether it is to be mirrored.
        position: in the stream of the run; in a list, its number.
        seed: for what is drawn for this sample later.
        skipped: photos that could not be read and were passed over to get this one, `path: reason`.
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None
    flip: bool
    position: int
    seed: int
    skipped: tuple[str, ...]


class PairSample(NamedTuple):
    """A content photo and the style photo that was drawn for it."""

    content: PhotoSample
    style: PhotoSample


class PhotoStream(Dataset[PhotoSample]):
    """Windows of photos by position, without end; the same position is the same window whoever asks, and whenever.

    A photo that can't be read is passed over for the next, and named in the sample.

    Args:
        source: the photos.
        scale: smallest and largest share of a photo's area in a window.
        seed: of the run.
        use: tells streams of one run apart, such as contents and styles.
    """

    def __init__(self, source: PhotoSource, scale: tuple[float, float], seed: int, use: str = "content") -> None:
        self.source, self.scale, self.seed, self.use = source, scale, seed, use

    def number(self, position: int) -> int:
        """Which photo stands at a position: each once in every pass through the photos."""
        return shuffled(position, len(self.source), self.seed)

    def __getitem__(self, position: int) -> PhotoSample:
        """The window at a position.

        Raises:
            InputError: none of the photos, or none of `MAX_SKIPPED`, can be read.
        """
        return self.window(self.number(position), position)

    def window(self, number: int, position: int) -> PhotoSample:
        """The window of a certain photo that is drawn at a position."""
        skipped: list[str] = []
        photo = read_from(self.source, number, skipped)
        seed = seed_of(self.seed, self.use, position)
        with drawing_from(seed):
            window = draw_window(photo.pixels.shape[:2], self.scale)
        return _sample(photo, window, position, seed, skipped)


class PairStream(Dataset[PairSample]):
    """Contents by position, each with a style drawn for it.

    Args:
        contents: the photos to change.
        styles: the photos whose look is wanted; they may be the same photos, under the same numbers.
        same_share: how often the style is the content's own photo, cut out anew; only where both are the same photos.
    """

    def __init__(self, contents: PhotoStream, styles: PhotoStream, same_share: float = 0.0) -> None:
        self.contents, self.styles, self.same_share = contents, styles, same_share

    def __getitem__(self, position: int) -> PairSample:
        """The pair at a position."""
        with drawing_from(seed_of(self.contents.seed, "pair", position)):
            other = int(torch.randint(len(self.styles.source), ()))
            same = float(torch.rand(())) < self.same_share
        number = self.contents.number(position)
        return PairSample(
            self.contents.window(number, position), self.styles.window(number if same else other, position)
        )


class WholePhotos(Dataset[PhotoSample]):
    """Photos to judge by: whole, in their order, at most `max_side` px on the longer side.

    Args:
        source: the photos.
        numbers: which of them.
        max_side: in pixels.
    """

    def __init__(self, source: PhotoSource, numbers: Sequence[int], max_side: int) -> None:
        self.source, self.numbers, self.max_side = source, list(numbers), max_side

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> PhotoSample:
        """The photo, or the next that can be read; see `PhotoStream`."""
        skipped: list[str] = []
        photo = read_from(self.source, self.numbers[index], skipped)
        sample = _sample(photo, None, index, seed_of("judged", index), skipped)
        return sample._replace(
            pixels=shrink_to(sample.pixels, self.max_side),
            labels=None if sample.labels is None else shrink_to(sample.labels, self.max_side, labels=True),
        )


class WholePairs(Dataset[PairSample]):
    """Pairs to judge by: each content with the style half the list away, so that no photo is its own style.

    Args:
        contents: photos.
        styles: photos; they may be the same.
    """

    def __init__(self, contents: WholePhotos, styles: WholePhotos) -> None:
        self.contents, self.styles = contents, styles

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, index: int) -> PairSample:
        count = len(self.styles)
        return PairSample(self.contents[index], self.styles[(index + count // 2) % count])


def read_from(source: PhotoSource, number: int, skipped: list[str]) -> DecodedPhoto:
    """The photo of this number, or the next that can be read; what is passed over goes to `skipped`.

    Raises:
        InputError: none of the photos, or none of `MAX_SKIPPED`, can be read.
    """
    for other in range(number, number + min(len(source), MAX_SKIPPED)):
        try:
            return source.read(other % len(source))
        except PhotoError as error:
            skipped.append(str(error))
    number_read = "none" if len(skipped) == len(source) else f"{len(skipped)} in a row, not one,"
    raise InputError(f"photos: {number_read} of the {len(source)} can be read, first {skipped[0]}")


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Let torch's own generator draw from a seed, and leave it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _sample(
    photo: DecodedPhoto, window: Window | None, position: int, seed: int, skipped: Sequence[str]
) -> PhotoSample:
    whole = Window(0, 0, photo.pixels.shape[0], photo.pixels.shape[1], False)
    top, left, height, width, flip = window or whole
    rows, columns = slice(top, top + height), slice(left, left + width)
    # Copies of the window alone: a view would carry the whole photo to the other process.
    pixels = torch.from_numpy(np.ascontiguousarray(photo.pixels[rows, columns].transpose(2, 0, 1)))
    labels = None if photo.labels is None else torch.from_numpy(photo.labels[None, rows, columns].copy())
    return PhotoSample(pixels, labels, flip, position, seed, tuple(skipped))
