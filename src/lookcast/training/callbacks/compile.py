"""Faster steps with the same results: compiled networks and weights in channels-last order."""

from typing import Any

import pytorch_lightning as pl
import torch

from lookcast.training.modules.single import LookModule

STAGES = ("predict_grid", "read")
"""Methods of grid generators to compile. Slicing has its own kernels."""


class CompileNetworks(pl.Callback):
    """Compile generator and encoder in place, and order their weights for the hardware.

    Results and names in checkpoints stay the same. Only training steps run compiled: their crops have one size, so each
    graph is compiled once. Validation and sample photos have many sizes, each of which would be compiled again, so they
    run uncompiled. Only the number of regions (`pseudo_masks`) changes between steps; it is compiled as a variable from
    its second value on.

    Tensor cores and oneDNN convolve in channels-last order. Only the weights need it: a convolution gives its output
    the order of its weights.

    Args:
        compile: compile the networks; the first steps then take a minute or more.
        channels_last: store the weights in channels-last order.
    """

    def __init__(self, compile: bool = False, channels_last: bool = False) -> None:
        self.compile, self.channels_last = compile, channels_last
        self.compiled = False

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Prepare the networks before the optimiser gets their weights."""
        assert isinstance(module, LookModule)
        if self.channels_last:
            module.to(memory_format=torch.channels_last)
        if self.compile:
            if not self.compiled:
                compile_networks(module)
                self.compiled = True
            torch.compiler.set_stance("force_eager")

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Run the step compiled."""
        if self.compile:
            torch.compiler.set_stance("default")

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Run everything between two steps uncompiled."""
        if self.compile:
            torch.compiler.set_stance("force_eager")

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Restore the mode of the process."""
        if self.compile:
            torch.compiler.set_stance("default")

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the mode of the process after a failure."""
        if self.compile:
            torch.compiler.set_stance("default")


def compile_networks(module: LookModule) -> None:
    """Compile, in place, the parts of generator and encoder that training steps call."""
    stages = [name for name in STAGES if hasattr(module.generator, name)]
    for name in stages:
        setattr(module.generator, name, torch.compile(getattr(module.generator, name)))
    if not stages:
        module.generator.compile()
    module.encoder.compile()
