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
        val_photos: the same for the photos held out; None holds out some of `photos`. A folder of fewer than 10 is too
            small for that: then its photos, whole, serve to judge by too, and `held_out` is False.
        num_val: how many of `photos` are held out; at most a tenth of them.
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
        for name, number in (("num_val", num_val), ("batch_size", batch_size)):
            if number < 1:
                raise InputError(f"{name}: expected at least 1, got {number}")
        self.held_out = val_photos is not None or len(found) >= 10
        if val_photos is not None:
            train, val = found, find_photos(val_photos)
        elif self.held_out:
            val = found[:: max(10, len(found) // num_val)][:num_val]
            train = [photo for photo in found if photo not in set(val)]
        else:
            train, val = found, found[:num_val]
        log.info(
            "%d photos to train on, %d %s", len(train), len(val), "held out" if self.held_out else "of them to judge by"
        )
        self.batch_size, self.num_workers = batch_size, num_workers
        self.train_set = PhotoFolder(
            train,
            training_transform(size, (scale[0], scale[1]), jitter),
            None if masks is None else find_masks(train, masks),
            length=max(epoch_length, len(train)),
        )
        self.val_set = PhotoFolder(
            val, validation_transform(val_size), None if masks is None else find_masks(val, masks)
        )

    def train_dataloader(self) -> DataLoader[PhotoBatch]:
        """Shuffled crops; an incomplete last batch is dropped."""
        return self._loader(self.train_set, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[PhotoBatch]:
        """Photos to judge by, one by one, each in its own size."""
        return self._loader(self.val_set, 1, shuffle=False)

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
