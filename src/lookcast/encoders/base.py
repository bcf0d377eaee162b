"""The interface of perceptual networks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from lookcast.checks import InputError, ShapeError, check_image
from lookcast.structures import Features


def freeze(module: nn.Module) -> nn.Module:
    """Turn all parameters and buffers of a module into non-persistent buffers, in place, and return the module.

    The frozen network follows `.to(device)` but stays out of optimisers, gradients, checkpoints and weight averages.
    """
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            del child._parameters[name]
            child.register_buffer(name, parameter.detach(), persistent=False)
        for name, buffer in list(child.named_buffers(recurse=False)):
            child.register_buffer(name, buffer, persistent=False)
    return module.eval()


class Encoder(nn.Module, ABC):
    """A frozen perceptual network with named feature maps, the taps.

    An encoder takes images in [0, 1] and normalises the images itself.

    Attributes:
        taps: names of the feature maps, shallow to deep.
        strides: for each tap, the side of a cell of its feature map, in pixels of the image.
        channels: number of channels of each tap.
    """

    taps: tuple[str, ...]
    strides: dict[str, int]
    channels: dict[str, int]

    @abstractmethod
    def forward(self, image: torch.Tensor) -> Features:
        """Return a dict with the feature map of each tap, from shallow to deep.

        Args:
            image: `(B, 3, H, W)` in [0, 1].

        Returns:
            `(B, C, H // stride, W // stride)` for each tap.

        Raises:
            ShapeError: `image` is not an image, or is too small for the deepest tap.
        """

    def train(self, mode: bool = True) -> "Encoder":
        """Stay in evaluation mode, because the encoder is frozen."""
        return super().train(False)

    @staticmethod
    def check_size(image: torch.Tensor, min_side: int) -> None:
        """Refuse a tensor that is not an image, or an image with a side below `min_side` pixels."""
        check_image("image", image)
        if min(image.shape[-2:]) < min_side:
            raise ShapeError("image", f"(B, 3, H >= {min_side}, W >= {min_side})", image.shape)

    @staticmethod
    def select(taps: Sequence[str] | None, available: Sequence[str]) -> tuple[str, ...]:
        """Return the chosen taps, shallow to deep; None chooses all taps.

        Raises:
            InputError: the encoder does not have a chosen tap, or no tap is chosen.
        """
        if taps is None:
            return tuple(available)
        if not taps:
            raise InputError(f"taps: expected at least one of {', '.join(available)}")
        unknown = [tap for tap in taps if tap not in available]
        if unknown:
            raise InputError(f"taps: {unknown[0]!r} is not a tap of this encoder; it has {', '.join(available)}")
        return tuple(tap for tap in available if tap in taps)
