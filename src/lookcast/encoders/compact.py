"""The small encoder that ships with lookcast: 0.2 M parameters, distilled from VGG-19."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from lookcast.encoders.base import Encoder, freeze
from lookcast.paths import shipped
from lookcast.structures import Features
from lookcast.weights import load_into, read_weights

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
STRIDES = dict(zip(TAPS, (1, 2, 4, 8), strict=True))
MIN_SIZE = 16
"""Reflection padding needs two cells a side at the deepest stride."""


class CompactNetwork(nn.Module):
    """VGG's ladder with narrow layers, and a linear head at each tap.

    The teacher's features are the outputs of rectifiers with dead channels and means far above their spread; the heads
    are linear (1x1, no rectifier) and predict the *live* channels standardised over photographs, so that every
    output has mean near 0 and variance near 1 and all of them count alike in a loss.

    Args:
        widths: channels of the four stages, at strides 1, 2, 4 and 8.
        outputs: channels of the four heads.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96), outputs: Sequence[int] = (10, 15, 38, 27)) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        pool = nn.MaxPool2d(2)
        # One stage leads from tap to tap: relu1_1, relu1_2 + pool + relu2_1, ... as in VGG-19.
        self.stages = nn.ModuleList(
            [
                nn.Sequential(*_convolution(3, w1)),
                nn.Sequential(*_convolution(w1, w1), pool, *_convolution(w1, w2)),
                nn.Sequential(*_convolution(w2, w2), pool, *_convolution(w2, w3)),
                nn.Sequential(
                    *_convolution(w3, w3), *_convolution(w3, w3), *_convolution(w3, w3), pool, *_convolution(w3, w4)
                ),
            ]
        )
        self.heads = nn.ModuleList(nn.Conv2d(w, out, 1) for w, out in zip(widths, outputs, strict=True))

    def forward(self, image: torch.Tensor) -> Features:
        """Standardised feature maps by tap. `image` is `(B, 3, H, W)` in [0, 1], H and W at least `MIN_SIZE`."""
        hidden = (image - 0.45) / 0.25  # roughly standardised: mean and spread of photographs
        features: Features = {}
        for tap, stage, head in zip(TAPS, self.stages, self.heads, strict=True):
            hidden = stage(hidden)
            features[tap] = head(hidden)
        return features


class CompactEncoder(Encoder):
    """The distilled network, frozen, with weights from a file.

    Attributes:
        weights: the file they came from; None for the shipped one.
        half_precision: compute in bfloat16, whatever the surrounding precision: half the time on CPUs
            that have instructions for it.

    Args:
        weights: a `.safetensors` file by `scripts/distill_encoder.py`; None takes the shipped one.
        taps: which taps to give; None gives all four, `relu1_1` to `relu4_1`.
    """

    def __init__(self, weights: str | Path | None = None, taps: Iterable[str] | None = None) -> None:
        super().__init__()
        self.half_precision = False
        self.weights = None if weights is None else str(weights)
        path = shipped("checkpoints") / "compact_encoder.safetensors" if weights is None else Path(weights)
        tensors, header = read_weights(path, kind="encoder")
        network = CompactNetwork(header["widths"], header["outputs"])
        load_into(network, tensors, path)
        # Channels last is a quarter faster on a CPU, forward and backward, and what tensor cores want.
        self.network = freeze(network).to(memory_format=torch.channels_last)
        self.taps = self.select(None if taps is None else list(taps), TAPS)
        self.strides = {tap: STRIDES[tap] for tap in self.taps}

    def forward(self, image: torch.Tensor) -> Features:
        """Standardised features; see `Encoder.forward`."""
        self.check_size(image, MIN_SIZE)
        image = image.contiguous(memory_format=torch.channels_last)
        if self.half_precision:
            with torch.autocast(image.device.type, torch.bfloat16):
                features = self.network(image)
        else:
            features = self.network(image)
        return {tap: features[tap] for tap in self.taps}


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    # Reflection as in the teacher: zero padding would darken every border feature and thereby every Gram matrix.
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect"), nn.ReLU(inplace=True)
