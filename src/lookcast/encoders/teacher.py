"""VGG-19 in its PCA bases: what the compact encoder was distilled from, and the yardstick of published figures."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lookcast.encoders.base import Encoder, freeze
from lookcast.encoders.compact import MIN_SIZE, STRIDES, TAPS
from lookcast.structures import Features
from lookcast.weights import CheckpointError, load_into

BLOCKS = (
    ("preprocess", "conv1_1"),
    ("conv1_2", "pool", "conv2_1"),
    ("conv2_2", "pool", "conv3_1"),
    ("conv3_2", "conv3_3", "conv3_4", "pool", "conv4_1"),
)
"""Layers from tap to tap: relu1_1, relu2_1, relu3_1 and relu4_1."""


class TeacherNetwork(nn.Module):
    """VGG's ladder up to relu4_1, under the names of the file it comes from.

    Args:
        channels: output and input channels of every convolution by its name.
        live: by tap, which channels vary over photographs.
    """

    def __init__(self, channels: Mapping[str, tuple[int, int]], live: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict()
        for name in (name for block in BLOCKS for name in block if name != "pool"):
            outputs, inputs = channels[name]
            # `preprocess` is 1x1: the colours' mean and order, no rectifier behind it.
            size = 1 if name == "preprocess" else 3
            self.encoder[name] = nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect")
        self.pool = nn.MaxPool2d(2)
        for tap in TAPS:
            self.register_buffer(f"live_{tap}", live[tap].nonzero()[:, 0], persistent=False)
            for moment in ("mean", "std"):
                self.register_buffer(f"{moment}_{tap}", torch.zeros(int(live[tap].sum()), 1, 1))

    def forward(self, image: torch.Tensor) -> Features:
        """Standardised live channels by tap. `image` is `(B, 3, H, W)` in [0, 1]."""
        hidden, features = image, {}
        for tap, block in zip(TAPS, BLOCKS, strict=True):
            for name in block:
                if name == "pool":
                    hidden = self.pool(hidden)
                else:
                    hidden = self.encoder[name](hidden)
                    hidden = hidden if name == "preprocess" else hidden.relu()
            live, mean, std = (self.get_buffer(f"{kind}_{tap}") for kind in ("live", "mean", "std"))
            features[tap] = (hidden[:, live] - mean) / std
        return features


class TeacherEncoder(Encoder):
    """The distilled VGG-19 of Chiu and Gurari, frozen: its live channels, standardised over photographs.

    Reflection padding before each 3x3 convolution. Channels whose spread is under a thousandth of the strongest one's
    are dead and left out: standardised, they would be noise.

    Args:
        weights: `vgg19_pca.npz` with `encoder.LAYER.weight` and `.bias`, and `alive.TAP`, `mean.TAP`, `std.TAP`.
        taps: which taps to give; None gives all four, `relu1_1` to `relu4_1`.

    Attributes:
        channels: live channels of each tap.

    Raises:
        CheckpointError: a missing, cut or foreign file.

    Reference:
        Chiu and Gurari, "PCA-Based Knowledge Distillation Towards Lightweight and Content-Style Balanced
        Photorealistic Style Transfer Models", CVPR 2022.
    """

    def __init__(self, weights: str | Path, taps: Iterable[str] | None = None) -> None:
        super().__init__()
        self.taps = self.select(None if taps is None else list(taps), TAPS)
        self.strides = {tap: STRIDES[tap] for tap in self.taps}
        path = Path(weights)
        arrays = _read_arrays(path)
        try:
            live = {tap: arrays[f"alive.{tap}"] for tap in TAPS}
            names = [name for block in BLOCKS for name in block if name != "pool"]
            tensors = {
                **{key: arrays[key] for name in names for key in (f"encoder.{name}.weight", f"encoder.{name}.bias")},
                **{
                    f"{moment}_{tap}": arrays[f"{moment}.{tap}"][live[tap]].view(-1, 1, 1)
                    for tap in TAPS
                    for moment in ("mean", "std")
                },
            }
            shapes = {name: tensors[f"encoder.{name}.weight"].shape for name in names}
            network = TeacherNetwork({name: (shape[0], shape[1]) for name, shape in shapes.items()}, live)
        except KeyError as error:
            raise CheckpointError(f"{path}: lacks the array {error.args[0]!r} of VGG-19 in its PCA bases") from error
        except IndexError as error:
            raise CheckpointError(f"{path}: its arrays do not fit together ({error})") from error
        load_into(network, tensors, path)
        self.network = freeze(network)
        self.channels = {tap: int(live[tap].sum()) for tap in self.taps}

    def forward(self, image: torch.Tensor) -> Features:
        """Standardised live channels; see `Encoder.forward`."""
        self.check_size(image, MIN_SIZE)
        features = self.network(image)
        return {tap: features[tap] for tap in self.taps}


def _read_arrays(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file of weights")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except Exception as error:  # zipfile, zlib and numpy each raise their own on foreign or cut bytes
        raise CheckpointError(f"{path}: not a whole .npz file of arrays ({' '.join(str(error).split())})") from error
