"""List of photos that could not be read; too many such photos end the run."""

import logging
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from pydantic import Field

from lookcast.atomic import atomic_write
from lookcast.checks import InputError, check_call
from lookcast.structures import PhotoBatch

log = logging.getLogger(__name__)

MIN_PHOTOS = 1000
"""Number of photos that the check of `max_share` counts as read, even before so many photos are read.

The allowed number of unreadable photos is `max_share` times the number of photos read so far. At least `MIN_PHOTOS`
count as read, because a large set may begin with broken photos. The count never exceeds the number of training photos.
"""


class SkippedPhotos(pl.Callback):
    """List unreadable photos in a log and a file, and end a run with too many unreadable photos.

    The log names each unreadable photo once.

    Args:
        path: path of the file, with one line `path: reason` for each photo. Without a skipped photo, no file is
            written.
        max_share: maximum share of unreadable photos, in [0, 1]. One unreadable photo is always allowed.

    Raises:
        InputError: during training, if the share of unreadable photos exceeds `max_share`.
    """

    @check_call
    def __init__(
        self, path: str | Path, max_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.01
    ) -> None:
        self.path, self.max_share = Path(path), max_share
        self.seen, self.counted, self.read = dict[str, None](), 0, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the list of photos for the checkpoint, so that a resumed run continues the list."""
        return {"seen": list(self.seen), "read": self.read}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the list of a checkpoint."""
        self.seen, self.read = dict.fromkeys(state_dict["seen"]), state_dict["read"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Add the skipped photos of this batch to the list; check the share every `log_every_n_steps` batches."""
        self._note(trainer, batch.skipped)
        self.read += trainer.world_size * len(batch.content) * (1 if batch.style is None else 2)
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (batch_index + 1) % every == 0:
            self._check(trainer)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, *_: Any
    ) -> None:
        """Add the skipped photos of a validation batch to the list."""
        self._note(trainer, batch.skipped)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the list after each validation, because the last validation runs after `on_train_end`."""
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the list."""
        self._write(trainer)

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Log the number of skipped photos."""
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
        photos = min(trainer.datamodule.num_photos, max(self.read, MIN_PHOTOS))  # type: ignore[attr-defined]
        allowed = max(1, int(self.max_share * photos))
        # Each process has its own list. To save time, the processes exchange the lists only if the sum of their lengths
        # is too large.
        total = trainer.strategy.reduce(
            torch.tensor(len(self.seen), device=trainer.strategy.root_device), reduce_op="sum"
        )
        if int(total) <= allowed:
            return
        self._write(trainer)
        if len(self.seen) > allowed:
            raise InputError(
                f"photos: {len(self.seen)} of {photos} can't be read, more than {self.max_share:.0%}; they are listed "
                f"in {self.path}; callbacks.skipped.max_share sets the limit"
            )

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:  # each process has read different photos
            lists: list[list[str]] = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(lists, list(self.seen))
            self._note(trainer, chain.from_iterable(lists))
        if self.seen and trainer.is_global_zero:
            with atomic_write(self.path) as temporary:
                temporary.write_text("\n".join(self.seen) + "\n")
