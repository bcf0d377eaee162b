"""What ships is not the last step's weights but their running mean."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lookcast.checks import InputError
from lookcast.training.modules.single import LookModule

log = logging.getLogger(__name__)


class WeightEMA(pl.Callback):
    """Keeps an exponential moving average of the generator's weights; validations, pictures and what ships show it.

    `a <- d a + (1 - d) w` after every step of the optimiser, `d = min(decay, (1 + t) / (10 + t))` for the t-th: a short
    run does not lag behind, and what the weights were at its start is soon forgotten. A skipped step (`FiniteGuard`)
    does not count.

    Lightning's `EMAWeightAveraging` copies the whole module with its encoder, is seen by validations only, and has no
    warm-up. Here it is one copy of the generator's parameters; what is frozen has none. While the average is in use,
    the two change places, so that no memory is needed for a third.

    Checkpoints: `state_dict` is the average, which is what is loaded for anything but to go on; the weights of the step
    are in this callback's state, and a resumed run takes them from there, to the bit.

    Args:
        decay: share of the average that stays, in a long run.

    Raises:
        InputError: a decay outside [0, 1).

    Reference:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the warm-up is TensorFlow's.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"decay: expected a share in [0, 1), got {decay}")
        self.decay = decay
        self.updates, self.step = 0, 0
        self.weights: dict[str, nn.Parameter] = {}  # the generator's own
        self.others: dict[str, torch.Tensor] = {}  # the average; the weights of the step while the average is in use
        self.in_use = False
        self.loaded: dict[str, torch.Tensor] | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what a checkpoint holds until the generator is on its device."""
        self.updates, self.loaded = state_dict["updates"], state_dict["weights"]

    @torch.no_grad()
    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin with the generator as it is; in a resumed run that is the average."""
        assert isinstance(module, LookModule)
        self.weights = dict(module.generator.named_parameters())
        self.others = {name: weight.detach().clone() for name, weight in self.weights.items()}
        if self.loaded is not None:
            for name, weight in self.weights.items():
                weight.copy_(self.loaded[name])
            self.loaded = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Know the step that a resumed run stands at."""
        self.step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Follow the weights."""
        self._follow(trainer)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Judge the average; after the training the generator has it anyway."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._change_places()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Back to the weights of the step."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._change_places()

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The generator ends as the average, also where a finished run was started again and nothing was left to do."""
        self._change_places()

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """The average where weights are looked for, the weights of the step in the callback's state."""
        self._follow(trainer)  # whoever saves may have its turn before this callback
        own = {name: weight.detach() for name, weight in self.weights.items()}
        average, weights = (own, self.others) if self.in_use else (self.others, own)
        checkpoint["state_dict"] |= {f"generator.{name}": tensor for name, tensor in average.items()}
        checkpoint["callbacks"][self.state_key] = {"updates": self.updates, "weights": weights}

    @contextmanager
    def average(self) -> Iterator[None]:
        """The generator with the average for the time of the block."""
        if self.in_use:
            yield
            return
        self._change_places()
        try:
            yield
        finally:
            self._change_places()

    @torch.no_grad()
    def _follow(self, trainer: pl.Trainer) -> None:
        if trainer.global_step == self.step or self.in_use:  # gradients are still accumulated
            return
        self.step = trainer.global_step
        weights = list(self.weights.values())
        if all(weight.grad is None for weight in weights):  # skipped
            return
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update(list(self.others.values()), weights, self.updates)
        self.updates += 1

    @torch.no_grad()
    def _change_places(self) -> None:
        for weight, other in zip(self.weights.values(), self.others.values(), strict=True):
            former = other.clone()
            other.copy_(weight)
            weight.copy_(former)
        self.in_use = not self.in_use


def averaged(trainer: pl.Trainer) -> Any:
    """A block in which the generator is as it would ship: with the average, where a run keeps one."""
    keepers = [callback for callback in trainer.callbacks if isinstance(callback, WeightEMA)]  # type: ignore[attr-defined]
    return keepers[0].average() if keepers else nullcontext()
