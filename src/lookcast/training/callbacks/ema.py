"""Exponential moving average of the weights: what validation measures and what ships."""

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

    `a <- d a + (1 - d) w` after every step t of the optimiser, with `d = min(decay, (1 + t) / (10 + t))`. This warm-up
    soon forgets the initial weights. A step that `FiniteGuard` skips does not count.

    Lightning's `WeightAveraging` loses the raw weights when training ends, so a finished run can't be resumed to the
    bit, and its average replaces the best weights when these are loaded and validated. It also copies the frozen
    encoder and averages skipped steps: a subclass would override nearly every method.

    Checkpoints: `state_dict` holds the averaged weights; resuming restores the raw ones from this callback's state.

    Args:
        decay: share of the average that each step keeps, after the warm-up.

    Reference:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the warm-up is TensorFlow's.
    """

    @check_call
    def __init__(self, decay: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.999) -> None:
        self.decay = decay
        self.updates, self.step = 0, 0
        self.weights: dict[str, nn.Parameter] = {}  # the generator's parameters
        self.stored: dict[str, torch.Tensor] = {}  # the average; the raw weights while the generator has the average
        self.swapped = False
        self.loaded: dict[str, torch.Tensor] | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the raw weights of a checkpoint until the generator is on its device."""
        self.updates, self.loaded = state_dict["updates"], state_dict["weights"]

    @torch.no_grad()
    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin with the generator's weights; in a resumed run they are the average."""
        assert isinstance(module, LookModule)
        self.weights = dict(module.generator.named_parameters())
        self.stored = {name: weight.detach().clone() for name, weight in self.weights.items()}
        if self.loaded is not None:
            for name, weight in self.weights.items():
                weight.copy_(self.loaded[name])
            self.loaded = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Note the step at which a resumed run starts."""
        self.step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Update the average after a step."""
        self._update(trainer)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Validate the average; after training the generator has it already."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._swap()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Return to the raw weights."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._swap()

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Leave the average in the generator, even if no step was left to train."""
        self._swap()

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average as the generator's weights and the raw weights as this callback's state."""
        self._update(trainer)  # a callback that saves may run before this one
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
    """Return a block in which the generator has the weights that ship: the average, if the run keeps one."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    averages = [callback.average() for callback in callbacks if isinstance(callback, WeightEMA)]
    return averages[0] if averages else nullcontext()
