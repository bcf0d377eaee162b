"""Data module of photos: training and validation sets, their loaders, and the state to resume from."""

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytorch_lightning as pl
import torch
from pydantic import BeforeValidator, Field
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset

from lookcast.checks import InputError, check_call
from lookcast.data.batches import BatchTransform, PairBatch, SampleBatch, collate
from lookcast.data.dataset import TrainPhotos, ValPhotos
from lookcast.data.loader import TimedLoader
from lookcast.data.sampling import PositionBatches
from lookcast.data.sources.base import CachedPhotos
from lookcast.data.sources.folder import MIN_SIDE
from lookcast.data.splits import PhotoSpec, open_photos, split
from lookcast.processes import ignore_stop_signals, usable_cores
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)

MAX_BATCH_PIXELS = 2**30
"""Maximum number of pixels in the batch of one process: 13 GB in float32."""
_AUTO_WORKERS = 8

Grade = Annotated[float, Field(ge=0, le=4, allow_inf_nan=False)]
"""Strength of `random_grade`."""
_Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
# A config has lists; strict validation, which the check of configs uses, accepts only tuples as tuples.
_Scale = Annotated[
    tuple[_Share, _Share], BeforeValidator(lambda value: tuple(value) if isinstance(value, Sequence) else value)
]


class TrainProgress(NamedTuple):
    """Progress of a run: samples over all processes, batches of each process."""

    samples: int
    batches: int


class PhotoDataModule(pl.LightningDataModule):
    """Random windows of photos for training, whole photos for validation.

    The order of the photos and all random draws depend only on the seed and on the number of samples trained on. A run
    that is resumed at any step, with any number of processes, sees the same samples as an uninterrupted one.

    Args:
        photos: a folder, a file, `sample:NAME`, or a list of these; or a folder or URL of shards.
        val_photos: the validation photos, given like `photos`; None holds out some of `photos`. With fewer than
            10 photos, none is held out: some of them serve for training and, as whole photos, for validation;
            `held_out` is False.
        num_val: number of `photos` to hold out, at most a tenth of them. Unreadable photos are not chosen.
        masks: folder of colour masks, one PNG for each photo, named by the photo's stem; `stored` for masks in shards;
            None for unmasked photos. The folder may lie inside a folder of photos.
        size: side of the training squares in pixels.
        scale: smallest and largest share of a photo's area in a window.
        content_grade: strength of `random_grade` for training photos; half of the photos stay unchanged.
        val_size: longer side of the validation photos in pixels.
        batch_size: photos in a batch of each process.
        min_side: photos are shrunk to this many pixels on the shorter side while they are decoded; None keeps their
            size. Twice `size` leaves every window enough pixels.
        num_workers: processes that read photos; None is 0 for training on a CPU; on other devices, the cores per
            device, at most 8.
        cache_mb: memory for decoded photos in MiB, in each process that reads.
        seed: seed of the order and of all draws.

    Raises:
        InputError: an argument out of range, no photos, no readable photo, or masks that are missing or do not fit.
    """

    @check_call
    def __init__(
        self,
        photos: PhotoSpec,
        val_photos: PhotoSpec | None = None,
        num_val: Annotated[int, Field(ge=1)] = 8,
        masks: str | Path | None = None,
        size: Annotated[int, Field(ge=MIN_SIDE, le=8192)] = 256,
        scale: _Scale = (0.3, 1.0),
        content_grade: Grade = 0.0,
        val_size: Annotated[int, Field(ge=MIN_SIDE)] = 512,
        batch_size: Annotated[int, Field(ge=1)] = 4,
        min_side: Annotated[int, Field(ge=MIN_SIDE)] | None = None,
        num_workers: Annotated[int, Field(ge=0, le=256)] | None = None,
        cache_mb: Annotated[int, Field(ge=0)] = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if scale[0] > scale[1]:
            raise InputError(f"scale: expected the smallest share before the largest, got {scale[0]}, {scale[1]}")
        if batch_size * size**2 > MAX_BATCH_PIXELS:
            largest = MAX_BATCH_PIXELS // size**2
            raise InputError(f"batch_size: expected at most {largest} photos of {size}x{size} px, got {batch_size}")
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.scale, self.val_size, self.cache_bytes = scale, val_size, cache_mb * 2**20
        self.batch_transform = BatchTransform(size, content_grade, 0.0, seed)
        self.photos = split(
            open_photos(photos, "photos", masks, min_side),
            None if val_photos is None else open_photos(val_photos, "val_photos", masks, None),
            num_val,
        )
        self.held_out = self.photos.held_out
        rank_zero_only(log.info)(
            "%d training photos, %d %s",
            *(len(self.photos.train), len(self.photos.val_numbers)),
            "held out for validation" if self.held_out else "of them for validation too",
        )
        self.progress = TrainProgress(samples=0, batches=0)

    @cached_property
    def train_set(self) -> Dataset[Any]:
        """Training samples by position."""
        return TrainPhotos(CachedPhotos(self.photos.train, self.cache_bytes), self.scale, self.seed)

    @cached_property
    def val_set(self) -> Any:
        """Validation samples."""
        return ValPhotos(self.photos.val, self.photos.val_numbers, self.val_size)

    def train_dataloader(self) -> TimedLoader:
        """Return a loader of this process's samples, without end, from the run's current position."""
        trainer = self.trainer
        rank, processes = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        workers = self._resolved_workers()
        return TimedLoader(
            self.train_set,
            batch_sampler=PositionBatches(self._begin, self.batch_size, rank, processes),
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers > 0 else None,
            pin_memory=torch.cuda.is_available(),
            collate_fn=self.collate,
            worker_init_fn=ignore_stop_signals,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return a loader of single validation photos, each at its own size.

        Every process loads all of them, so the figures do not depend on the number of processes.
        """
        return DataLoader(self.val_set, 1, pin_memory=torch.cuda.is_available(), collate_fn=self.collate)

    collate = staticmethod(collate)
    """Collects samples into a batch."""

    def on_after_batch_transfer(self, batch: SampleBatch | PairBatch, dataloader_idx: int) -> PhotoBatch:
        """Transform a batch on its device."""
        trainer = self.trainer
        if trainer is None or not trainer.training:
            return self.batch_transform.val_batch(batch)
        contents = batch.content if isinstance(batch, PairBatch) else batch
        return self.batch_transform.train_batch(batch, contents.positions[0] - trainer.global_rank * self.batch_size)

    def val_batch(self, index: int, device: torch.device) -> PhotoBatch:
        """Return a validation photo as a batch on a device."""
        batch = self.collate([self.val_set[index]])
        return self.batch_transform.val_batch(self.transfer_batch_to_device(batch, device, 0))

    def state_dict(self) -> dict[str, Any]:
        """Return the run's position and the fingerprints of its photos."""
        return {**self._current_progress()._asdict(), "photos": self.fingerprints(), "seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume after the samples of a checkpoint.

        Raises:
            InputError: the checkpoint was trained on other photos.
        """
        if state_dict["photos"] != self.fingerprints():
            raise InputError(
                "photos: are not those that the checkpoint was trained on (others, more or fewer, or of other names); "
                "start from its look.safetensors with init_from to train its weights on these"
            )
        self.progress = TrainProgress(state_dict["samples"], state_dict["batches"])

    @property
    def num_photos(self) -> int:
        """Number of training photos."""
        return len(self.photos.train)

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of the training photos."""
        return [self.photos.train.fingerprint]

    def _begin(self) -> int:
        """Return the position of the next sample over all processes."""
        # A run with overfit_batches ends its epochs early, and starts each with the same batch.
        overfit = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        return 0 if overfit else self._current_progress().samples

    def _current_progress(self) -> TrainProgress:
        if self.trainer is None:
            return self.progress
        # Lightning raises `processed` before the callbacks' on_train_batch_end, which write checkpoints.
        batches: int = vars(self.trainer.fit_loop.epoch_loop.batch_progress.total)["processed"]
        new = (batches - self.progress.batches) * self.batch_size * self.trainer.world_size
        return TrainProgress(self.progress.samples + new, batches)

    def _resolved_workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        if self.trainer is None or self.trainer.strategy.root_device.type == "cpu":
            return 0  # workers would compete with the network for the cores
        return max(1, min(_AUTO_WORKERS, usable_cores() // max(1, self.trainer.num_devices)))
