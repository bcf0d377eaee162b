"""The photos of a run: which are trained on, which are held out, and how they are loaded."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset

from lookcast.checks import InputError
from lookcast.data.batches import BatchTransform, PairBatch, SampleBatch, collate
from lookcast.data.loader import TimedLoader
from lookcast.data.order import PositionBatches
from lookcast.data.sources.selection import Cached, PhotoSpec, open_photos, split
from lookcast.data.stream import PhotoStream, WholePhotos
from lookcast.data.workers import ignore_stopping, usable_cores
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)


class Trained(NamedTuple):
    """How far a run is: samples of all processes, and batches of each."""

    samples: int
    batches: int


class PhotoDataModule(pl.LightningDataModule):
    """Random windows of photos to train on, whole photos to judge by.

    The order of the photos and all that is drawn for them depend on the seed and on the number of samples trained on,
    on nothing else: a run that is resumed anywhere, by any number of processes, goes on as if it had not stopped.

    Args:
        photos: a folder, a file, `sample:NAME`, or a list of such.
        val_photos: the same for the photos held out; None holds out some of `photos`. A folder of fewer than 10 is too
            small for that: then its photos, whole, serve to judge by too, and `held_out` is False.
        num_val: how many of `photos` are held out; at most a tenth of them. Those that can't be read are not chosen.
        masks: folder of colour masks, one PNG for each photo, named like it; None for no masks. It may lie inside a
            folder of photos.
        size: side in pixels of what is trained on.
        scale: smallest and largest share of a photo's area in a window.
        content_grade: strength of `random_grade` for the photos trained on, half of which stay as they are.
        val_size: longer side of the held-out photos in pixels.
        batch_size: photos in a batch, in each process.
        min_side: photos are shrunk to this many pixels on the shorter side while they are decoded; None for whole
            ones. Twice `size` leaves every window more pixels than it needs.
        num_workers: processes that read photos; None for none where the CPU trains, else as many as there are cores
            for each device, at most 8.
        cache_mb: decoded photos that stay in memory, in MiB, in each process that reads.
        seed: of the order and of all draws.

    Raises:
        InputError: no photos, none that can be read, or masks that are missing or do not fit.
    """

    def __init__(
        self,
        photos: PhotoSpec,
        val_photos: PhotoSpec | None = None,
        num_val: int = 8,
        masks: str | Path | None = None,
        size: int = 256,
        scale: tuple[float, float] = (0.3, 1.0),
        content_grade: float = 0.0,
        val_size: int = 512,
        batch_size: int = 4,
        min_side: int | None = None,
        num_workers: int | None = None,
        cache_mb: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, number in (("num_val", num_val), ("batch_size", batch_size)):
            if number < 1:
                raise InputError(f"{name}: expected at least 1, got {number}")
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.scale, self.val_size, self.cache_bytes = (scale[0], scale[1]), val_size, cache_mb * 2**20
        self.finisher = BatchTransform(size, content_grade, 0.0, seed)
        self.photos = split(
            open_photos(photos, "photos", masks, min_side),
            None if val_photos is None else open_photos(val_photos, "val_photos", masks, None),
            num_val,
        )
        self.held_out = self.photos.held_out
        rank_zero_only(log.info)(
            "%d photos to train on, %d %s",
            *(len(self.photos.train), len(self.photos.judged), "held out" if self.held_out else "of them to judge by"),
        )
        self.trained = Trained(samples=0, batches=0)

    @cached_property
    def train_set(self) -> Dataset[Any]:
        """Samples by position."""
        return PhotoStream(Cached(self.photos.train, self.cache_bytes), self.scale, self.seed)

    @cached_property
    def val_set(self) -> Any:
        """Samples to judge by."""
        return WholePhotos(self.photos.val, self.photos.judged, self.val_size)

    def train_dataloader(self) -> TimedLoader:
        """Samples of this process, without end, from where the run stands."""
        trainer = self.trainer
        rank, processes = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        workers = self._workers()
        return TimedLoader(
            self.train_set,
            batch_sampler=PositionBatches(self._first, self.batch_size, rank, processes),
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers > 0 else None,
            pin_memory=torch.cuda.is_available(),
            collate_fn=self.collate,
            worker_init_fn=ignore_stopping,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Photos to judge by, one by one, each in its own size; every process judges all of them.

        They are few, and so the figures do not depend on the number of processes.
        """
        return DataLoader(self.val_set, 1, pin_memory=torch.cuda.is_available(), collate_fn=self.collate)

    collate = staticmethod(collate)
    """Puts samples side by side."""

    def on_after_batch_transfer(self, batch: SampleBatch | PairBatch, dataloader_idx: int) -> PhotoBatch:
        """Finish the batch where it is: crops, grades, masks."""
        trainer = self.trainer
        if trainer is None or not trainer.training:
            return self.finisher.judged(batch)
        contents = batch.content if isinstance(batch, PairBatch) else batch
        return self.finisher.finish(batch, contents.positions[0] - trainer.global_rank * self.batch_size)

    def judged_batch(self, index: int, device: torch.device) -> PhotoBatch:
        """One of the photos to judge by, on a device."""
        batch = self.collate([self.val_set[index]])
        return self.finisher.judged(self.transfer_batch_to_device(batch, device, 0))

    def state_dict(self) -> dict[str, Any]:
        """How far the run is in its stream of samples, and of which photos."""
        return {**self._trained()._asdict(), "photos": self.fingerprints(), "seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind the samples of a checkpoint.

        Raises:
            InputError: the checkpoint's photos are others.
        """
        if state_dict["photos"] != self.fingerprints():
            raise InputError(
                "photos: are not those that the checkpoint was trained on (others, more or fewer, or of other names); "
                "start from its look.safetensors with init_from to train its weights on these"
            )
        self.trained = Trained(state_dict["samples"], state_dict["batches"])

    @property
    def num_photos(self) -> int:
        """How many there are to train on."""
        return len(self.photos.train)

    def fingerprints(self) -> list[str]:
        """Of the photos to train on."""
        return [self.photos.train.fingerprint]

    def _first(self) -> int:
        """The position that is trained on next, over all processes."""
        # A run that is to overfit ends its epochs early, and begins each with the same batch.
        overfit = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        return 0 if overfit else self._trained().samples

    def _trained(self) -> Trained:
        if self.trainer is None:
            return self.trained
        # `processed` counts a batch before the callbacks' on_train_batch_end, in which checkpoints are written.
        batches: int = vars(self.trainer.fit_loop.epoch_loop.batch_progress.total)["processed"]
        new = (batches - self.trained.batches) * self.batch_size * self.trainer.world_size
        return Trained(self.trained.samples + new, batches)

    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        if self.trainer is None or self.trainer.strategy.root_device.type == "cpu":
            return 0  # a worker would take from the network what it gives
        return max(1, min(8, usable_cores() // max(1, self.trainer.num_devices)))
