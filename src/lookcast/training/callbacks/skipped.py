"""The list of photos that could not be read, and the end of a run that can't read too many."""

import logging
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)

AT_LEAST = 1000
"""The share is one of so many photos at least, or of all there are: the first of a large set may be broken."""


class SkippedPhotos(pl.Callback):
    """Names each photo that could not be read, once, writes their list, and stops a run that can't read too many.

    Args:
        path: the list, one `path: reason` a line; not written when every photo could be read.
        most: share of the photos that may be unreadable; a single one always may.

    Raises:
        InputError: a share outside [0, 1]; and, in the training, more unreadable photos than that.
    """

    def __init__(self, path: str | Path, most: float = 0.01) -> None:
        if not 0 <= most <= 1:
            raise InputError(f"most: expected a share in [0, 1], got {most}")
        self.path, self.most = Path(path), most
        self.seen, self.counted, self.read = dict[str, None](), 0, 0

    def state_dict(self) -> dict[str, Any]:
        """What was skipped until now, so that a resumed run goes on with the list."""
        return {"seen": list(self.seen), "read": self.read}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the list."""
        self.seen, self.read = dict.fromkeys(state_dict["seen"]), state_dict["read"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Take note of what the making of this batch skipped; from time to time see whether it is too much."""
        self._note(trainer, batch.skipped)
        self.read += trainer.world_size * len(batch.content) * (1 if batch.style is None else 2)
        if (batch_index + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._check(trainer)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, *_: Any
    ) -> None:
        """The same among the photos to judge by."""
        self._note(trainer, batch.skipped)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the list; the last validation comes after the training."""
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the list."""
        self._write(trainer)

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Count them."""
        if trainer.is_global_zero and len(self.seen) > self.counted:
            self.counted = len(self.seen)
            log.warning("%d photos could not be read and were skipped; listed in %s", self.counted, self.path)

    def _note(self, trainer: pl.Trainer, lines: Iterable[str]) -> None:
        for line in lines:
            if line not in self.seen:
                self.seen[line] = None
                if trainer.is_global_zero:
                    log.warning("skipped %s", line)

    def _check(self, trainer: pl.Trainer) -> None:
        photos = min(trainer.datamodule.num_photos, max(self.read, AT_LEAST))  # type: ignore[attr-defined]
        allowed = max(1, int(self.most * photos))
        # Each process has skipped others; what they are is asked only when together they may be too many.
        together = trainer.strategy.reduce(
            torch.tensor(len(self.seen), device=trainer.strategy.root_device), reduce_op="sum"
        )
        if int(together) <= allowed:
            return
        self._write(trainer)
        if len(self.seen) > allowed:
            raise InputError(
                f"photos: {len(self.seen)} of {photos} can't be read, more than {self.most:.0%}; they are listed in "
                f"{self.path}; callbacks.skipped.most says how many may"
            )

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:  # each process has read photos of its own
            lists: list[list[str]] = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(lists, list(self.seen))
            self._note(trainer, chain.from_iterable(lists))
        if self.seen and trainer.is_global_zero:
            with atomic_write(self.path) as temporary:
                temporary.write_text("\n".join(self.seen) + "\n")
