"""Ways to compute the same steps faster: compiled networks, channels last."""

from typing import Any

import pytorch_lightning as pl
import torch

from lookcast.training.modules.single import LookModule

STAGES = ("predict_grid", "read")
"""Of the generators that have a grid. What slices it stays as it is: by hand, one kernel forward and one backward."""


class Speed(pl.Callback):
    """Compiles generator and encoder in place, and lays out their weights for the hardware; the results are the same.

    Names in checkpoints do not change. Only the steps of the training run compiled: their crops are all of one size,
    and each graph is compiled once. The photos of validations and pictures have any size, each of which would be
    compiled anew, and run as they are written. The number of a batch's regions (`pseudo_masks`) is the one size that
    changes from step to step: from its second value on it is compiled as a variable.

    Channels last is the order in which tensor cores and oneDNN convolve. It is enough that the weights have it: a
    convolution gives its output the order of its weights, whatever its input has.

    Args:
        compile: whether to compile. The first steps then take a minute or more.
        channels_last: whether to order the weights so.
    """

    def __init__(self, compile: bool = False, channels_last: bool = False) -> None:
        self.compile, self.channels_last = compile, channels_last
        self.compiled = False

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Before the optimiser knows the weights."""
        assert isinstance(module, LookModule)
        if self.channels_last:
            module.to(memory_format=torch.channels_last)
        if self.compile:
            if not self.compiled:
                compile_networks(module)
                self.compiled = True
            torch.compiler.set_stance("force_eager")

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """From here on compiled."""
        if self.compile:
            torch.compiler.set_stance("default")

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """What comes between two steps is not."""
        if self.compile:
            torch.compiler.set_stance("force_eager")

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Leave the process as it was."""
        if self.compile:
            torch.compiler.set_stance("default")

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """The same where the run breaks off."""
        if self.compile:
            torch.compiler.set_stance("default")


def compile_networks(module: LookModule) -> None:
    """Compile what the steps call of generator and encoder, in place."""
    stages = [name for name in STAGES if hasattr(module.generator, name)]
    for name in stages:
        setattr(module.generator, name, torch.compile(getattr(module.generator, name)))
    if not stages:
        module.generator.compile()
    module.encoder.compile()
