"""Photos from a folder, a list of files or the bundled samples."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from lookcast.checks import InputError
from lookcast.data.samples import PREFIX, sample_path
from lookcast.data.transforms import MIN_SIDE
from lookcast.photos.files import PHOTO_SUFFIXES, PhotoError, read_mask, read_srgb
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)


class PhotoSample(NamedTuple):
    """One photo to train on.

    Attributes:
        content: `(3, H, W)`, float in [0, 1].
        mask: `(K, H, W)`; None without masks.
        skipped: photos that could not be read and were passed over to get this one, `path: reason`.
    """

    content: torch.Tensor
    mask: torch.Tensor | None
    skipped: tuple[str, ...]


def find_photos(source: str | Path | Sequence[str | Path], name: str = "photos") -> list[Path]:
    """Photo files of a source, sorted by name within a folder.

    Args:
        source: a folder (searched recursively), a file, `sample:NAME` of a bundled photo, or a list of such.
        name: the setting that names the source, for the message.

    Raises:
        InputError: a file or folder that does not exist, or no photo in it; says what was looked for.
    """
    if not isinstance(source, str | Path):
        return [path for part in source for path in find_photos(part, name)]
    if str(source).startswith(PREFIX):
        return [sample_path(str(source).removeprefix(PREFIX))]
    path = Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{name}: {path} does not exist")
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file())
    if not found:
        kinds = " ".join(sorted(PHOTO_SUFFIXES))
        raise InputError(f"{name}: no photo in {path}; looked in it and below it for files ending in {kinds}")
    return found


def read_pixels(path: Path) -> npt.NDArray[np.uint8]:
    """The pixels of a photo that is large enough for the encoders, `(H, W, 3)`.

    Raises:
        PhotoError: it can't be read, or a side is shorter than `MIN_SIDE`.
    """
    pixels = read_srgb(path)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise PhotoError(f"{path}: {width}x{height} pixels, too small to train on")
    return pixels


CACHE_BYTES = 64 * 2**20
"""Pixels that a `PhotoFolder` keeps: a handful of photos is read again and again, decoding them would cost a tenth."""


class PhotoFolder(Dataset[PhotoSample]):
    """Photos, transformed; one that can't be read is passed over for the next, and named in the sample.

    The first photos stay in memory, up to `cache_bytes`.

    Args:
        photos: the files.
        transform: takes a photo and its mask (or None).
        masks: the mask of each photo, or None.
        length: how many samples an epoch has; photos repeat when there are fewer. None for one of each.
        cache_bytes: pixels that stay in memory.

    Raises:
        InputError: no photos.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        transform: v2.Transform,
        masks: Sequence[Path] | None = None,
        length: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if not photos:
            raise InputError("photos: the list is empty")
        self.photos, self.transform, self.masks = list(photos), transform, masks
        self.length = len(self.photos) if length is None else length
        self.cache: dict[int, npt.NDArray[np.uint8]] = {}
        self.cached_bytes, self.cache_bytes = 0, cache_bytes

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> PhotoSample:
        """The photo, or the next one that can be read.

        Raises:
            InputError: none of the photos can be read.
        """
        skipped: list[str] = []
        for offset in range(len(self.photos)):
            number = (index + offset) % len(self.photos)
            try:
                pixels = self._read(number)
            except PhotoError as error:
                skipped.append(str(error))
                continue
            image = tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1))
            mask = None
            if self.masks is not None:
                mask = tv_tensors.Mask(read_mask(self.masks[number], pixels.shape[:2])[0])
            image, mask = self.transform(image, mask)
            return PhotoSample(
                image.as_subclass(torch.Tensor),
                None if mask is None else mask.as_subclass(torch.Tensor),
                tuple(skipped),
            )
        raise InputError(f"photos: none of the {len(self.photos)} can be read, first {skipped[0]}")

    def _read(self, number: int) -> npt.NDArray[np.uint8]:
        if number in self.cache:
            return self.cache[number]
        pixels = read_pixels(self.photos[number])
        if self.cached_bytes + pixels.nbytes <= self.cache_bytes:
            self.cache[number] = pixels
            self.cached_bytes += pixels.nbytes
        return pixels


def collate(samples: Sequence[PhotoSample]) -> PhotoBatch:
    """Stack samples of one size."""
    masks = [sample.mask for sample in samples if sample.mask is not None]
    return PhotoBatch(
        content=torch.stack([sample.content for sample in samples]),
        content_mask=torch.stack(masks) if masks else None,
        skipped=tuple(line for sample in samples for line in sample.skipped),
    )
