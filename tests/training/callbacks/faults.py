"""What breaks a step, for runs whose config names it: also in other processes than that of the test."""

from pathlib import Path

import pytorch_lightning as pl
import torch


class BrokenPhotos(pl.Callback):
    """Makes pixels of the batch NaN, in one process or in all.

    Args:
        steps: the first step and the one behind the last, of each stretch of broken ones.
        share: of the width that is NaN, from the left.
        process: the only one whose photos break; None breaks those of all.
        folder: where each process leaves its weights when the run breaks off; None leaves none.
    """

    def __init__(self, steps: list, share: float = 1.0, process: int | None = None, folder: str | None = None):
        self.stretches = list(zip(steps[::2], steps[1::2], strict=True))
        self.share, self.process, self.folder = share, process, folder

    def on_train_batch_start(self, trainer, module, batch, batch_index):
        here = self.process in (None, trainer.global_rank)
        if here and any(begin <= trainer.global_step < end for begin, end in self.stretches):
            batch.content[..., : round(self.share * batch.content.shape[-1])] = torch.nan

    def on_exception(self, trainer, module, exception):
        if self.folder is not None:
            torch.save(module.generator.state_dict(), Path(self.folder) / f"weights_{trainer.global_rank}.pt")
