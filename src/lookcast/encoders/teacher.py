"""VGG-19 reduced by PCA: the teacher of the compact encoder, and the encoder for published metrics."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lookcast.encoders.base import Encoder, freeze
from lookcast.encoders.compact import MIN_SIDE, STRIDES, TAPS
from lookcast.paths import check_file
from lookcast.structures import Features
from lookcast.weights import CheckpointError, load_into

BLOCKS = (
    ("preprocess", "conv1_1"),
    ("conv1_2", "pool", "conv2_1"),
    ("conv2_2", "pool", "conv3_1"),
    ("conv3_2", "conv3_3", "conv3_4", "pool", "conv4_1"),
)
"""For each of the taps relu1_1, relu2_1, relu3_1 and relu4_1, the layers that lead to it from the previous tap."""
MAX_BYTES = 64 << 20
"""Largest accepted size of the unpacked arrays, in bytes. The arrays of the published file take 1.4 MB."""


class TeacherNetwork(nn.Module):
    """The layers of VGG-19 up to relu4_1. Each layer has the name that the file of weights uses.

    Args:
        channels: a dict from the name of each convolution to its numbers of output and input channels, in this order.
        live: for each tap, a bool mask `(C,)` of the channels that vary over photographs.
    """

    def __init__(self, channels: Mapping[str, tuple[int, int]], live: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict()
        for name in (name for block in BLOCKS for name in block if name != "pool"):
            outputs, inputs = channels[name]
            # `preprocess` is a 1x1 convolution without a rectifier: it sets the mean and order of the colour channels.
            size = 1 if name == "preprocess" else 3
            self.encoder[name] = nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect")
        self.pool = nn.MaxPool2d(2)
        for tap in TAPS:
            self.register_buffer(f"live_{tap}", live[tap].nonzero()[:, 0], persistent=False)
            for moment in ("mean", "std"):
                self.register_buffer(f"{moment}_{tap}", torch.zeros(int(live[tap].sum()), 1, 1))

    def forward(self, image: torch.Tensor) -> Features:
        """Return a dict with the standardised live channels of each tap. The image is `(B, 3, H, W)` in [0, 1]."""
        hidden, features = image, {}
        for tap, block in zip(TAPS, BLOCKS, strict=True):
            for name in block:
                if name == "pool":
                    hidden = self.pool(hidden)
                else:
                    hidden = self.encoder[name](hidden)
                    hidden = hidden if name == "preprocess" else hidden.relu()
            live, mean, std = (self.get_buffer(f"{name}_{tap}") for name in ("live", "mean", "std"))
            features[tap] = (hidden[:, live] - mean) / std
        return features


class TeacherEncoder(Encoder):
    """The frozen VGG-19 that Chiu and Gurari reduced by PCA. Its live channels are standardised over photographs.

    Each 3x3 convolution has reflection padding. A channel is dead, not live, if its spread over photographs is below a
    thousandth of the largest spread. Dead channels are left out, because standardised dead channels would be noise.

    Args:
        weights: path of `vgg19_pca.npz`. The file has the arrays `encoder.LAYER.weight` and `encoder.LAYER.bias` for
            each layer, and the arrays `alive.TAP`, `mean.TAP` and `std.TAP` for each tap.
        taps: the taps to compute; None for all four taps, `relu1_1` to `relu4_1`.

    Attributes:
        channels: number of live channels of each tap.

    Raises:
        CheckpointError: the file is missing or damaged, or does not contain this network.

    Reference:
        Chiu and Gurari, "PCA-Based Knowledge Distillation Towards Lightweight and Content-Style Balanced
        Photorealistic Style Transfer Models", CVPR 2022.
    """

    def __init__(self, weights: str | Path, taps: Iterable[str] | None = None) -> None:
        super().__init__()
        self.taps = self.select(None if taps is None else list(taps), TAPS)
        self.strides = {tap: STRIDES[tap] for tap in self.taps}
        path = Path(weights)
        names = [name for block in BLOCKS for name in block if name != "pool"]
        convolutions = [f"encoder.{name}.{part}" for name in names for part in ("weight", "bias")]
        statistics = [f"{kind}.{tap}" for tap in TAPS for kind in ("alive", "mean", "std")]
        arrays = _read_arrays(path, [*convolutions, *statistics])
        channels = _check_channels(arrays, names, path)
        live = {tap: arrays[f"alive.{tap}"] for tap in TAPS}
        tensors = {name: arrays[name] for name in convolutions}
        for tap in TAPS:
            for moment in ("mean", "std"):
                tensors[f"{moment}_{tap}"] = arrays[f"{moment}.{tap}"][live[tap]].view(-1, 1, 1)
        with torch.device("meta"):  # allocates nothing before the weights are checked
            network = TeacherNetwork(channels, live)
        load_into(network, tensors, path)
        self.network = freeze(network)
        self.channels = {tap: int(live[tap].sum()) for tap in self.taps}

    def forward(self, image: torch.Tensor) -> Features:
        """Return standardised live channels; see `Encoder.forward`."""
        self.check_size(image, MIN_SIDE)
        features = self.network(image)
        return {tap: features[tap] for tap in self.taps}


def _read_arrays(path: Path, names: Iterable[str]) -> dict[str, torch.Tensor]:
    check_file(path, "file of weights", CheckpointError)
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(entry.file_size for entry in file.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"the arrays take {size} bytes, more than the limit of {MAX_BYTES} bytes")
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in names}
    except KeyError as error:
        name = str(error.args[0]).split()[0]  # the name is the first word of numpy's message
        raise CheckpointError(f"{path}: lacks the array {name!r} of VGG-19 in its PCA bases") from error
    except Exception as error:  # zipfile, zlib and numpy raise many exceptions on foreign or damaged bytes
        raise CheckpointError(f"{path}: not a whole .npz file of arrays ({' '.join(str(error).split())})") from error


def _check_channels(arrays: dict[str, torch.Tensor], names: Iterable[str], path: Path) -> dict[str, tuple[int, int]]:
    """Check the shapes and types of the arrays, and return the `channels` of `TeacherNetwork`.

    Raises:
        CheckpointError: an array has a wrong shape or type, or the channels of successive layers do not match.
    """
    channels, inputs = {}, 3
    for name in names:
        shape = tuple(arrays[f"encoder.{name}.weight"].shape)
        if len(shape) != 4 or shape[1] != inputs:
            raise CheckpointError(f"{path}: encoder.{name}.weight: expected {inputs} input channels, got shape {shape}")
        channels[name] = shape[:2]
        inputs = shape[0]
    for tap, block in zip(TAPS, BLOCKS, strict=True):
        expected = (channels[block[-1]][0],)
        for kind in ("alive", "mean", "std"):
            array = arrays[f"{kind}.{tap}"]
            if array.shape != expected or (kind == "alive") != (array.dtype == torch.bool):
                found = f"{array.dtype} of {tuple(array.shape)}"
                raise CheckpointError(f"{path}: {kind}.{tap}: expected shape {expected}, bool for alive, got {found}")
    return channels
