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
from lookcast.processes import ignore_stop_signals, usable_cores, worker_context
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)

MAX_BATCH_PIXELS = 2**30
"""Maximum number of pixels in the batch of one process. Such a batch takes 13 GB in float32."""
_AUTO_WORKERS = 8

Grade = Annotated[float, Field(ge=0, le=4, allow_inf_nan=False)]
"""Strength of `random_grade`."""
_Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
# A config holds lists, but the strict validation of configs accepts only a tuple here.
_Scale = Annotated[
    tuple[_Share, _Share], BeforeValidator(lambda value: tuple(value) if isinstance(value, Sequence) else value)
]


class TrainProgress(NamedTuple):
    """Progress of a run.

    Attributes:
        samples: number of training samples so far, over all processes.
        batches: number of training batches so far, of each process.
    """

    samples: int
    batches: int


class PhotoDataModule(pl.LightningDataModule):
    """Data module of random photo windows for training and whole photos for validation.

    The order of the photos and all random draws depend only on the seed and on the number of samples trained on. A run
    that is resumed at any step, with any number of processes, sees the same samples as an uninterrupted run.

    Args:
        photos: a folder, a file, `sample:NAME`, or a list of these; or the path or URL of a folder of shards.
        val_photos: the validation photos, given like `photos`; None holds out some of `photos`. If there are fewer
            than 10 photos, no photo is held out: validation uses some of the training photos, without cropping them,
            and `held_out` is False.
        num_val: number of photos to hold out, at most a tenth of `photos`. Unreadable photos are not chosen.
        masks: folder of colour masks: one PNG for each photo, such as `a.png` for the photo `a.jpg`. The folder may lie
            inside a folder of photos. `stored` uses the masks inside shards. None means no masks.
        size: side of the training squares in pixels.
        scale: smallest and largest area of a window, as a share of the photo's area.
        content_grade: strength of `random_grade` for training photos; half of the photos stay unchanged.
        val_size: maximum length of the longer side of validation photos in pixels.
        batch_size: number of photos in a batch of each process.
        min_side: length in pixels to which the shorter side of larger training photos is shrunk during decoding; None
            keeps the original size. If `min_side` is twice `size`, hardly any window has to be enlarged.
        num_workers: number of processes that read photos. None means 0 on a CPU; on other devices, None means the
            number of cores per device, at most 8.
        cache_mb: memory in MiB for decoded photos, in each process that reads photos.
        seed: seed for the order of the photos and for all random draws.

    Raises:
        InputError: an argument is out of range, there is no readable photo, or masks are missing or do not fit.
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
        """Endless dataset of training samples. The index is the position of a sample in the run."""
        return TrainPhotos(CachedPhotos(self.photos.train, self.cache_bytes), self.scale, self.seed)

    @cached_property
    def val_set(self) -> Any:
        """Dataset of validation samples."""
        return ValPhotos(self.photos.val, self.photos.val_numbers, self.val_size)

    def train_dataloader(self) -> TimedLoader:
        """Return an endless loader of this process's training samples, which starts at the run's current position."""
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
            multiprocessing_context=worker_context(workers),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return a loader of validation batches, each with one whole photo or one pair.

        Every process loads all validation samples, so the metrics do not depend on the number of processes.
        """
        return DataLoader(self.val_set, 1, pin_memory=torch.cuda.is_available(), collate_fn=self.collate)

    collate = staticmethod(collate)
    """Collect samples into a batch."""

    def on_after_batch_transfer(self, batch: SampleBatch | PairBatch, dataloader_idx: int) -> PhotoBatch:
        """Transform a collated batch to a `PhotoBatch`, on the device of the batch."""
        trainer = self.trainer
        if trainer is None or not trainer.training:
            return self.batch_transform.val_batch(batch)
        contents = batch.content if isinstance(batch, PairBatch) else batch
        return self.batch_transform.train_batch(batch, contents.positions[0] - trainer.global_rank * self.batch_size)

    def val_batch(self, index: int, device: torch.device) -> PhotoBatch:
        """Return a batch on `device` that holds only the validation sample at `index`."""
        batch = self.collate([self.val_set[index]])
        return self.batch_transform.val_batch(self.transfer_batch_to_device(batch, device, 0))

    def state_dict(self) -> dict[str, Any]:
        """Return the progress of the run, the fingerprints of the training photos, and the seed."""
        return {**self._current_progress()._asdict(), "photos": self.fingerprints(), "seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at the sample after the last sample of a checkpoint.

        Raises:
            InputError: the checkpoint was trained on other photos.
        """
        if state_dict["photos"] != self.fingerprints():
            raise InputError(
                "photos: the number or the names of the photos differ from the photos of the checkpoint; to train its "
                "weights on these photos, start a new run with init_from and its look.safetensors"
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
        """Return the position of the run's next training sample, counted over all processes."""
        # With overfit_batches, every epoch repeats the first batches of the run.
        overfit = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        return 0 if overfit else self._current_progress().samples

    def _current_progress(self) -> TrainProgress:
        if self.trainer is None:
            return self.progress
        # Lightning increments `processed` before it calls on_train_batch_end of the callbacks, which write checkpoints.
        batches: int = vars(self.trainer.fit_loop.epoch_loop.batch_progress.total)["processed"]
        new = (batches - self.progress.batches) * self.batch_size * self.trainer.world_size
        return TrainProgress(self.progress.samples + new, batches)

    def _resolved_workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        if self.trainer is None or self.trainer.strategy.root_device.type == "cpu":
            return 0  # workers would compete with the network for the cores
        return max(1, min(_AUTO_WORKERS, usable_cores() // max(1, self.trainer.num_devices)))
