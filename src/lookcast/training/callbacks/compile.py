"""Faster steps with the same results: compiled networks and weights in channels-last order."""

from typing import Any

import pytorch_lightning as pl
import torch

from lookcast.training.modules.single import LookModule

STAGES = ("predict_grid", "read")
"""Methods of grid generators to compile. Slicing, which applies the grid to the photo, needs no compilation, because
lookcast has special kernels for slicing."""


class CompileNetworks(pl.Callback):
    """Compile generator and encoder in place, and store their weights in channels-last order.

    Results and the names of weights in checkpoints stay the same. Training steps run compiled: all crops have the same
    size, so each graph is compiled once. Validation and sample photos run uncompiled: these photos have many sizes, and
    each new size would need a new compilation. The number of regions (`pseudo_masks`) is the only size that changes
    between training steps. After the second value of this number, the compiled graph accepts any number of regions.

    Tensor cores and oneDNN convolve faster in channels-last order. It is enough to reorder the weights, because
    the output of a convolution takes the memory order of the weights.

    Args:
        compile: compile the networks; the first steps then take a minute or more.
        channels_last: store the weights in channels-last order.
    """

    def __init__(self, compile: bool = False, channels_last: bool = False) -> None:
        self.compile, self.channels_last = compile, channels_last
        self.compiled = False

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Compile and reorder the networks before the optimiser is made from their weights."""
        assert isinstance(module, LookModule)
        if self.channels_last:
            module.to(memory_format=torch.channels_last)
        if self.compile:
            if not self.compiled:
                compile_networks(module)
                self.compiled = True
            torch.compiler.set_stance("force_eager")

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Use the compiled networks in the training step."""
        if self.compile:
            torch.compiler.set_stance("default")

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Use the uncompiled networks between two training steps."""
        if self.compile:
            torch.compiler.set_stance("force_eager")

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Allow compiled code in the process again."""
        if self.compile:
            torch.compiler.set_stance("default")

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Allow compiled code in the process again after a failure."""
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
