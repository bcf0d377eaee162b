"""The checkpoint that a run resumes from, and the orderly end of a run on a stop signal."""

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

    After a stop signal (`StopSignals`), all processes agree on a step, write the checkpoint after it and raise
    `Preempted`. `ModelCheckpoint(save_last=True)` writes one only when the best has improved, which may be long ago.
    Lightning's own signal handlers write one in the middle of a step, or none.

    Lightning calls checkpoint callbacks after all others, so the file holds the state of the others after the step.

    Args:
        path: the file; a complete new file replaces it.
        every_n_steps: steps between files.

    Raises:
        InputError: the file can't be written; the previous file stays.
    """

    @check_call
    def __init__(self, path: str | Path, every_n_steps: Annotated[int, Field(ge=1)] = 100) -> None:
        self.path, self.every_n_steps = Path(path), every_n_steps
        self.step, self.saved, self.signal = -1, -1, 0
        self.signals = StopSignals()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Take the signals over from Lightning, which has set its handlers by now."""
        self.step, self.signal = trainer.global_step, 0
        self.signals.listen()

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Stop here: by now the previous step is logged and validated."""
        if self.signal:
            raise Preempted(self.signal, trainer.global_step, self.path)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Save every n steps; if a validation follows, save after it, or a resumed run would leave it out."""
        if trainer.global_step == self.step:  # gradients are accumulated over several batches
            return
        self.step, self.signal = trainer.global_step, self._received(trainer)
        interval = trainer.val_check_batch
        validation_follows = interval is not None and (trainer.fit_loop.total_batch_idx + 1) % interval == 0
        if self.signal or (self.step % self.every_n_steps == 0 and not validation_follows):
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save during training; `ModelCheckpoint` comes first, so that its best score is in the file."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save the steps after the last validation."""
        if self.saved != trainer.global_step:
            self._save(trainer)
        self.signals.ignore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers."""
        self.signals.ignore()

    def _received(self, trainer: pl.Trainer) -> int:
        """Return the signal that any process has received, 0 for none: all stop after the same step."""
        received = torch.tensor(self.signals.received, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(received, reduce_op="max"))

    def _save(self, trainer: pl.Trainer) -> None:
        self.saved = trainer.global_step
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path, weights_only=False)  # writes nothing, but all processes must take part
            return
        with atomic_write(self.path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)  # with the optimiser
