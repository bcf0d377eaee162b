"""The small encoder that ships with lookcast: 0.2 M parameters, distilled from VGG-19."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from lookcast.checks import InputError, check_integer, describe
from lookcast.encoders.base import Encoder, freeze
from lookcast.paths import shipped
from lookcast.structures import Features
from lookcast.weights import CheckpointError, load_weights, read_header

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
STRIDES = dict(zip(TAPS, (1, 2, 4, 8), strict=True))
MIN_SIDE = 16
"""Minimum length of each side of an image in pixels.

Reflection padding needs at least two cells along each axis at the deepest stride, 8.
"""
MAX_CHANNELS = 1024
"""Largest number of channels per layer that a file of weights may have."""


class CompactNetwork(nn.Module):
    """A network with the stages of VGG-19 but fewer channels, and a linear head at each tap.

    The teacher, VGG-19, has rectified features: some channels are dead (hardly vary), and the means of the features are
    far above their spread. Each head of this network is a 1x1 convolution without a rectifier. The head predicts the
    *live* channels of the teacher, standardised over photographs. Every output channel then has a mean near 0 and a
    variance near 1, so all channels count equally in a loss.

    Args:
        widths: number of channels of each of the four stages, at strides 1, 2, 4 and 8.
        outputs: number of channels of each of the four heads.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96), outputs: Sequence[int] = (10, 15, 38, 27)) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        pool = nn.MaxPool2d(2)
        # Each stage ends at a tap, as in VGG-19: relu1_1, relu1_2 + pool + relu2_1, ...
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
        """Return a dict with the standardised feature map of each tap.

        The image is `(B, 3, H, W)` in [0, 1], with H and W at least `MIN_SIDE`.
        """
        hidden = (image - 0.45) / 0.25  # the mean and the spread of photographs, roughly
        features: Features = {}
        for tap, stage, head in zip(TAPS, self.stages, self.heads, strict=True):
            hidden = stage(hidden)
            features[tap] = head(hidden)
        return features


class CompactEncoder(Encoder):
    """The frozen compact encoder, with weights from a file.

    Attributes:
        weights: path of the file of weights; None for the shipped file.
        half_precision: True to compute in bfloat16, even outside autocast. On CPUs with bfloat16 instructions, the
            network then takes half the time.

    Args:
        weights: a `.safetensors` file from `scripts/distill_encoder.py`; None for the shipped file.
        taps: the taps to compute; None for all four taps, `relu1_1` to `relu4_1`.

    Raises:
        CheckpointError: the file is missing or damaged, or does not contain this network.
        InputError: a tap is unknown.
    """

    def __init__(self, weights: str | Path | None = None, taps: Iterable[str] | None = None) -> None:
        super().__init__()
        self.half_precision = False
        self.weights = None if weights is None else str(weights)
        path = shipped("checkpoints") / "compact_encoder.safetensors" if weights is None else Path(weights)
        sizes = _read_sizes(path)
        with torch.device("meta"):  # allocates nothing before the weights are checked
            network = CompactNetwork(**sizes)
        load_weights(network, path)
        # The channels-last layout is a quarter faster on a CPU, forward and backward. Tensor cores need this layout.
        self.network = freeze(network).to(memory_format=torch.channels_last)
        self.taps = self.select(None if taps is None else list(taps), TAPS)
        self.strides = {tap: STRIDES[tap] for tap in self.taps}
        channels = dict(zip(TAPS, sizes["outputs"], strict=True))
        self.channels = {tap: channels[tap] for tap in self.taps}

    def forward(self, image: torch.Tensor) -> Features:
        """Return standardised features; see `Encoder.forward`."""
        self.check_size(image, MIN_SIDE)
        image = image.contiguous(memory_format=torch.channels_last)
        if self.half_precision:
            with torch.autocast(image.device.type, torch.bfloat16):
                features = self.network(image)
        else:
            features = self.network(image)
        return {tap: features[tap] for tap in self.taps}


def _read_sizes(path: Path) -> dict[str, list[int]]:
    """Read the arguments of the network from the header of a file."""
    header = read_header(path, kind="encoder")
    for name in ("widths", "outputs"):
        sizes = header.get(name)
        if not isinstance(sizes, list) or len(sizes) != len(TAPS):
            raise CheckpointError(f"{path}: {name}: expected {len(TAPS)} integers in the header, got {describe(sizes)}")
        for size in sizes:
            try:
                check_integer(name, size, 1, MAX_CHANNELS)
            except InputError as error:
                raise CheckpointError(f"{path}: {error}") from error
    return {name: header[name] for name in ("widths", "outputs")}


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    # Reflection padding as in the teacher. Zero padding would weaken border features, and thereby every Gram matrix.
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect"), nn.ReLU(inplace=True)
