"""Exponential moving average of the weights, for validation and for the final checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from pydantic import Field
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lookcast.checks import check_call
from lookcast.training.modules.single import LookModule


class WeightEMA(pl.Callback):
    """Average the generator's weights; validations, pictures and the final checkpoint use the average.

    After each optimiser step t = 0, 1, ..., the average a and the raw weights w give the new average
    `d * a + (1 - d) * w`, where `d = min(decay, (1 + t) / (10 + t))`. The small d of the first steps removes the
    initial weights quickly. A step that `FiniteGuard` skips updates nothing and does not count in t.

    Lightning's `WeightAveraging` differs in four points, so a subclass would override nearly every method:
    * The raw weights are lost when training ends, so a finished run can't be resumed exactly.
    * A validation of the best weights uses the average instead of the best weights.
    * The frozen encoder is copied too.
    * Skipped steps update the average too.

    In a checkpoint, `state_dict` holds the averaged weights, and the state of this callback holds the raw weights. A
    resumed run restores the raw weights from this state.

    Args:
        decay: weight d of the old average in an update after the warm-up, in [0, 1).

    Reference:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; warm-up from TensorFlow.
    """

    @check_call
    def __init__(self, decay: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.999) -> None:
        self.decay = decay
        self.updates, self.step = 0, 0
        self.weights: dict[str, nn.Parameter] = {}  # the generator's parameters
        self.stored: dict[str, torch.Tensor] = {}  # the average; while `swapped`, the raw weights
        self.swapped = False
        self.loaded: dict[str, torch.Tensor] | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the raw weights of a checkpoint; `on_fit_start` copies them into the generator on the device."""
        self.updates, self.loaded = state_dict["updates"], state_dict["weights"]

    @torch.no_grad()
    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the average from the generator's weights.

        In a resumed run, Lightning has loaded the average of the checkpoint into the generator. The generator then gets
        the raw weights of the checkpoint.
        """
        assert isinstance(module, LookModule)
        self.weights = dict(module.generator.named_parameters())
        self.stored = {name: weight.detach().clone() for name, weight in self.weights.items()}
        if self.loaded is not None:
            for name, weight in self.weights.items():
                weight.copy_(self.loaded[name])
            self.loaded = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Store the step at which the training starts."""
        self.step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Update the average after a step."""
        self._update(trainer)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Give the generator the average for a validation in training; after training it already has the average."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._swap()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Give the generator the raw weights after a validation in training."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._swap()

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Give the generator the average at the end, also if the run trained no step."""
        self._swap()

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average as the generator's weights, and the raw weights as the state of this callback."""
        self._update(trainer)  # the callback that saves may run before `on_train_batch_end` of this callback
        current = {name: weight.detach() for name, weight in self.weights.items()}
        average, raw = (current, self.stored) if self.swapped else (self.stored, current)
        checkpoint["state_dict"] |= {f"generator.{name}": tensor for name, tensor in average.items()}
        checkpoint["callbacks"][self.state_key] = {"updates": self.updates, "weights": raw}

    @contextmanager
    def average(self) -> Iterator[None]:
        """Give the generator the average within the block."""
        if self.swapped:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _update(self, trainer: pl.Trainer) -> None:
        if trainer.global_step == self.step or self.swapped:  # gradients are accumulated over several batches
            return
        self.step = trainer.global_step
        weights = list(self.weights.values())
        if all(weight.grad is None for weight in weights):  # a skipped step
            return
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update(list(self.stored.values()), weights, self.updates)
        self.updates += 1

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, stored in zip(self.weights.values(), self.stored.values(), strict=True):
            former = stored.clone()
            stored.copy_(weight)
            weight.copy_(former)
        self.swapped = not self.swapped


def averaged(trainer: pl.Trainer) -> Any:
    """Return a context manager that gives the generator the averaged weights, if the run has a `WeightEMA`."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    averages = [callback.average() for callback in callbacks if isinstance(callback, WeightEMA)]
    return averages[0] if averages else nullcontext()
