"""Callback that writes the checkpoint to resume from, and that ends the run after a stop signal."""

from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from pydantic import Field
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from lookcast.atomic import atomic_write
from lookcast.checks import check_call
from lookcast.training.preemption import Preempted, StopSignals


class LastCheckpoint(Checkpoint):
    """Write a checkpoint to resume from: every n steps, after every validation, at the end, and on a stop signal.

    After a stop signal (`StopSignals`), all processes stop after the same step. The run writes a checkpoint after this
    step and raises `Preempted`. Lightning has no equivalent: `ModelCheckpoint(save_last=True)` writes a checkpoint only
    when the best score improves, and Lightning's signal handlers write a checkpoint in the middle of a step, or none.

    Lightning calls checkpoint callbacks last, so the checkpoint holds the states of all callbacks after the step.

    Args:
        path: path of the checkpoint; each new checkpoint replaces the previous one atomically.
        every_n_steps: number of steps between two checkpoints.

    Raises:
        InputError: the checkpoint can't be written; the previous checkpoint stays.
    """

    @check_call
    def __init__(self, path: str | Path, every_n_steps: Annotated[int, Field(ge=1)] = 100) -> None:
        self.path, self.every_n_steps = Path(path), every_n_steps
        self.step, self.saved, self.signal = -1, -1, 0
        self.signals = StopSignals()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Replace the signal handlers that Lightning has installed before this hook."""
        self.step, self.signal = trainer.global_step, 0
        self.signals.listen()

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Stop the run after a signal. Lightning has logged and validated the previous step before this hook."""
        if self.signal:
            raise Preempted(self.signal, trainer.global_step, self.path)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Save every n steps and after a stop signal.

        If a validation follows this step, the regular checkpoint is left to `on_validation_end`. A run that resumes
        from a checkpoint written before the validation would miss the validation. A stop signal saves in any case.
        """
        if trainer.global_step == self.step:  # gradients are accumulated over several batches
            return
        self.step, self.signal = trainer.global_step, self._received(trainer)
        interval = trainer.val_check_batch
        validation_follows = interval is not None and (trainer.fit_loop.total_batch_idx + 1) % interval == 0
        if self.signal or (self.step % self.every_n_steps == 0 and not validation_follows):
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save after a validation in training. `ModelCheckpoint` runs first, so the file holds the new best score."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save the last step, unless a checkpoint of this step exists already."""
        if self.saved != trainer.global_step:
            self._save(trainer)
        self.signals.ignore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers."""
        self.signals.ignore()

    def _received(self, trainer: pl.Trainer) -> int:
        """Return the signal that any process has received, or 0. All processes get the same result."""
        received = torch.tensor(self.signals.received, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(received, reduce_op="max"))

    def _save(self, trainer: pl.Trainer) -> None:
        self.saved = trainer.global_step
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path, weights_only=False)  # writes no file, but all processes must call it
            return
        with atomic_write(self.path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)  # False includes the optimiser
