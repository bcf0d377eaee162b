"""The photos of a run: which are trained on, which are held out, and how they are loaded."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lookcast.checks import InputError
from lookcast.data.masks import find_masks
from lookcast.data.photo_folder import PhotoFolder, collate, find_photos
from lookcast.data.transforms import training_transform, validation_transform
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)


class PhotoDataModule(pl.LightningDataModule):
    """Random crops of photos to train on, whole photos to judge by.

    Args:
        photos: a folder, a file, `sample:NAME`, or a list of such.
        val_photos: the same for the photos held out; None holds out every n-th of `photos`, `num_val` in all.
        num_val: how many are held out of `photos`; at most a tenth of them.
        masks: folder of colour masks, one PNG for each photo, named like it; None for no masks.
        size: side of the crops in pixels.
        scale: smallest and largest share of a photo's area in a crop.
        jitter: strength of the random grade of the content.
        val_size: longer side of the held-out photos in pixels.
        batch_size: crops in a batch, on each device.
        epoch_length: crops in an epoch at least; a few photos repeat, so that epochs do not shrink to a step.
        num_workers: processes that read photos.

    Raises:
        InputError: no photos, or masks missing.
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
    ) -> None:
        super().__init__()
        found = find_photos(photos)
        if val_photos is not None:
            train, val = found, find_photos(val_photos)
        else:
            every = max(10, len(found) // max(num_val, 1))
            val = found[::every][:num_val] if len(found) >= 10 else []
            train = [photo for photo in found if photo not in set(val)]
        if batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, got {batch_size}")
        log.info("%d photos to train on, %d held out", len(train), len(val))
        self.batch_size, self.num_workers = batch_size, num_workers
        self.train_set = PhotoFolder(
            train,
            training_transform(size, (scale[0], scale[1]), jitter),
            None if masks is None else find_masks(train, masks),
            length=max(epoch_length, len(train)),
        )
        self.val_set = (
            PhotoFolder(val, validation_transform(val_size), None if masks is None else find_masks(val, masks))
            if val
            else None
        )

    def train_dataloader(self) -> DataLoader[PhotoBatch]:
        """Shuffled crops; an incomplete last batch is dropped."""
        return self._loader(self.train_set, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[PhotoBatch] | list[DataLoader[PhotoBatch]]:
        """Held-out photos one by one, each in its own size; none where nothing is held out."""
        return [] if self.val_set is None else self._loader(self.val_set, 1, shuffle=False)

    def _loader(self, photos: PhotoFolder, batch_size: int, shuffle: bool) -> DataLoader[PhotoBatch]:
        return DataLoader(
            photos,  # type: ignore[arg-type]
            batch_size,
            shuffle=shuffle,
            drop_last=shuffle,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
        )
