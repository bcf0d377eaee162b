"""The list of photos that could not be read."""

import logging
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lookcast.files import whole_file
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)


class SkippedPhotos(pl.Callback):
    """Names each photo that could not be read, once, and writes their list.

    Args:
        path: the list, one `path: reason` a line; not written when every photo could be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.seen, self.counted = Path(path), dict[str, None](), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Take note of what the making of this batch skipped."""
        self._note(trainer, batch.skipped)

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

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:  # each process has read photos of its own
            lists: list[list[str]] = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(lists, list(self.seen))
            self._note(trainer, chain.from_iterable(lists))
        if self.seen and trainer.is_global_zero:
            with whole_file(self.path) as temporary:
                temporary.write_text("\n".join(self.seen) + "\n")
