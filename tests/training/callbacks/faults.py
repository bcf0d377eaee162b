"""Faults of a step for runs whose config names them, in any process."""

from pathlib import Path

import pytorch_lightning as pl
import torch


class BrokenPhotos(pl.Callback):
    """Set pixels of the batch to NaN, in one process or in all.

    Args:
        steps: first step and end (exclusive) of each range of broken steps.
        share: share of the width that becomes NaN, from the left.
        process: rank of the only process with broken photos; None breaks those of all.
        folder: folder in which each process saves its weights when the run fails; None saves none.
    """

    def __init__(self, steps: list, share: float = 1.0, process: int | None = None, folder: str | None = None):
        self.ranges = list(zip(steps[::2], steps[1::2], strict=True))
        self.share, self.process, self.folder = share, process, folder

    def on_train_batch_start(self, trainer, module, batch, batch_index):
        here = self.process in (None, trainer.global_rank)
        if here and any(begin <= trainer.global_step < end for begin, end in self.ranges):
            batch.content[..., : round(self.share * batch.content.shape[-1])] = torch.nan

    def on_exception(self, trainer, module, exception):
        if self.folder is not None:
            torch.save(module.generator.state_dict(), Path(self.folder) / f"weights_{trainer.global_rank}.pt")
