"""What a run can be resumed from, and its orderly end when it is told to stop."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.training.preemption import Preempted, StopSignals


class LastCheckpoint(Checkpoint):
    """Writes what a run can be resumed from: every n steps, after every validation, at the end, and when told to stop.

    Told to stop (`StopSignals`), all processes agree on a step, write the checkpoint behind it and raise `Preempted`.
    `ModelCheckpoint(save_last=True)` writes one only when the best has improved, which may be long ago, and Lightning's
    own answers to signals write one in the middle of a step, or none.

    Lightning calls checkpoint callbacks behind all others, so that what these keep is in the file.

    Args:
        path: the file, written over when the new one is whole.
        every_n_steps: steps between files.

    Raises:
        InputError: the file can't be written; the one before stays.
    """

    def __init__(self, path: str | Path, every_n_steps: int = 100) -> None:
        if every_n_steps < 1:
            raise InputError(f"every_n_steps: expected at least 1, got {every_n_steps}")
        self.path, self.every_n_steps = Path(path), every_n_steps
        self.step, self.saved, self.told = -1, -1, 0
        self.signals = StopSignals()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Listen to signals, instead of Lightning's own handlers, which it has set by now."""
        self.step, self.told = trainer.global_step, 0
        self.signals.listen()

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Stop here: what the step before was to log is logged now, and its validation made."""
        if self.told:
            raise Preempted(self.told, trainer.global_step, self.path)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Every n steps; where a validation follows, behind that, or a resumed run would leave it out."""
        if trainer.global_step == self.step:  # gradients are accumulated over several batches
            return
        self.step, self.told = trainer.global_step, self._received(trainer)
        interval = trainer.val_check_batch
        judged_next = interval is not None and (trainer.fit_loop.total_batch_idx + 1) % interval == 0
        if self.told or (self.step % self.every_n_steps == 0 and not judged_next):
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Within the training only; behind `ModelCheckpoint`, whose knowledge of the best goes into the file."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """What was trained since the last validation."""
        if self.saved != trainer.global_step:
            self._save(trainer)
        self.signals.ignore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the signals as they were."""
        self.signals.ignore()

    def _received(self, trainer: pl.Trainer) -> int:
        """The signal that any of the processes has received, 0 for none: all stop behind the same step."""
        received = torch.tensor(self.signals.received, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(received, reduce_op="max"))

    def _save(self, trainer: pl.Trainer) -> None:
        self.saved = trainer.global_step
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path, weights_only=False)  # writes nothing, but all have to take part
            return
        with atomic_write(self.path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)  # of the optimiser too
