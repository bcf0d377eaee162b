"""Checkpoints that a run can be resumed from."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn


class LastCheckpoint(Checkpoint):
    """Writes what a run can be resumed from: after every validation and at the end.

    `ModelCheckpoint(save_last=True)` writes it only when the best has improved, which may be long ago.

    Args:
        path: the file, written over.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.step = Path(path), -1

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Within the training only; behind `ModelCheckpoint`, whose knowledge of the best goes into the file."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """What was trained since the last validation."""
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.global_step != self.step:
            self.step = trainer.global_step
            trainer.save_checkpoint(self.path, weights_only=False)  # of the optimiser too
