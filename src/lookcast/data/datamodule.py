"""The photos of a run: which are trained on, which are held out, and how they are loaded."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset

from lookcast.checks import InputError
from lookcast.data.masks import find_masks, without_masks
from lookcast.data.photo_folder import PhotoFolder, collate, find_photos, read_pixels
from lookcast.data.transforms import training_transform, validation_transform
from lookcast.photos.files import PhotoError
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)


class PhotoDataModule(pl.LightningDataModule):
    """Random crops of photos to train on, whole photos to judge by.

    Args:
        photos: a folder, a file, `sample:NAME`, or a list of such.
        val_photos: the same for the photos held out; None holds out some of `photos`. A folder of fewer than 10 is too
            small for that: then its photos, whole, serve to judge by too, and `held_out` is False.
        num_val: how many of `photos` are held out; at most a tenth of them. Those that can't be read are not chosen.
        masks: folder of colour masks, one PNG for each photo, named like it; None for no masks. It may lie inside a
            folder of photos.
        size: side of the crops in pixels.
        scale: smallest and largest share of a photo's area in a crop.
        jitter: strength of the random grade of the content.
        val_size: longer side of the held-out photos in pixels.
        batch_size: crops in a batch, on each device.
        epoch_length: crops in an epoch at least; a few photos repeat, so that epochs do not shrink to a step. Never
            less than one of each photo, or than a batch.
        num_workers: processes that read photos.
        cache_mb: decoded photos that stay in memory, in MiB.

    Raises:
        InputError: no photos, none that can be read, or masks that are missing or do not fit.
    """

    def __init__(
        self,
        photos: str | Path | Sequence[str | Path],
        val_photos: str | Path | Sequence[str | Path] | None = None,
        num_val: int = 8,
        masks: str | Path | None = None,
        size: int = 256,
        scale: tuple[float, float] = (0.3, 1.0),
        jitter: float = 0.0,
        val_size: int = 512,
        batch_size: int = 4,
        epoch_length: int = 4000,
        num_workers: int = 0,
        cache_mb: int = 64,
    ) -> None:
        super().__init__()
        for name, number in (("num_val", num_val), ("batch_size", batch_size)):
            if number < 1:
                raise InputError(f"{name}: expected at least 1, got {number}")
        train, val, self.held_out = split_photos(photos, val_photos, num_val, masks)
        rank_zero_only(log.info)(
            "%d photos to train on, %d %s", len(train), len(val), "held out" if self.held_out else "of them to judge by"
        )
        self.batch_size, self.num_workers = batch_size, num_workers
        self.train_set: Dataset[Any] = PhotoFolder(
            train,
            training_transform(size, (scale[0], scale[1]), jitter),
            None if masks is None else find_masks(train, masks),
            length=max(epoch_length, len(train), batch_size),
            cache_bytes=cache_mb * 2**20,
        )
        self.val_set: Dataset[Any] = PhotoFolder(
            val, validation_transform(val_size), None if masks is None else find_masks(val, masks)
        )

    def train_dataloader(self) -> DataLoader[PhotoBatch]:
        """Shuffled crops; an incomplete last batch is dropped."""
        return self._loader(self.train_set, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[PhotoBatch]:
        """Photos to judge by, one by one, each in its own size."""
        return self._loader(self.val_set, 1, shuffle=False)

    def _loader(self, photos: Dataset[Any], batch_size: int, shuffle: bool) -> DataLoader[PhotoBatch]:
        return DataLoader(
            photos,
            batch_size,
            shuffle=shuffle,
            drop_last=shuffle,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=self.collate,
        )

    collate = staticmethod(collate)
    """Makes a `PhotoBatch` of samples."""


def split_photos(
    photos: str | Path | Sequence[str | Path],
    val_photos: str | Path | Sequence[str | Path] | None,
    num_val: int,
    masks: str | Path | None,
    name: str = "photos",
) -> tuple[list[Path], list[Path], bool]:
    """Photos to train on, photos to judge by, and whether these are held out; see `PhotoDataModule`."""
    found = _find(photos, name, masks)
    if val_photos is not None:
        return found, _find(val_photos, f"val_{name}", masks), True
    if len(found) < 10:
        return found, _pick_readable(found, min(num_val, len(found)), name), False
    val = _pick_readable(found, min(num_val, len(found) // 10), name)
    held = set(val)
    return [photo for photo in found if photo not in held], val, True


def _find(source: str | Path | Sequence[str | Path], name: str, masks: str | Path | None) -> list[Path]:
    """Photos of a source, at least one, without the masks that lie among them."""
    found = find_photos(source, name)
    if not found:
        raise InputError(f"{name}: the list is empty")
    return found if masks is None else without_masks(found, masks)


def _pick_readable(photos: Sequence[Path], number: int, name: str) -> list[Path]:
    """The first photo that can be read of each of `number` equal stretches.

    A photo that can't is passed over among the photos to train on; here it could be the only one to judge by.

    Raises:
        InputError: none can be read.
    """
    bounds = [len(photos) * k // number for k in range(number + 1)]
    picked, broken = [], []
    for begin, end in pairwise(bounds):
        for photo in photos[begin:end]:
            try:
                read_pixels(photo)
            except PhotoError as error:
                broken.append(str(error))
                continue
            picked.append(photo)
            break
    if not picked:
        raise InputError(f"{name}: none of the {len(photos)} can be read, first {broken[0]}")
    return picked
