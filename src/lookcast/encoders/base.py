"""What the losses ask of a perceptual network."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from lookcast.checks import InputError, ShapeError, check_image
from lookcast.structures import Features


def freeze(module: nn.Module) -> nn.Module:
    """Turn every parameter and buffer of a module into a non-persistent buffer, in place.

    The frozen network then follows `.to(device)` but stays out of optimisers, gradients and checkpoints, and out of
    the copies that weight averaging makes of parameters.
    """
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            del child._parameters[name]
            child.register_buffer(name, parameter.detach(), persistent=False)
        for name, buffer in list(child.named_buffers(recurse=False)):
            child.register_buffer(name, buffer, persistent=False)
    return module.eval()


class Encoder(nn.Module, ABC):
    """Frozen network with named taps; takes images in [0, 1] and normalises them itself.

    Attributes:
        taps: names of the feature maps it gives, shallow to deep.
        strides: pixels of the image per cell of each tap.
    """

    taps: tuple[str, ...]
    strides: dict[str, int]

    @abstractmethod
    def forward(self, image: torch.Tensor) -> Features:
        """Feature maps by tap name, shallow to deep.

        Args:
            image: `(B, 3, H, W)` in [0, 1].

        Returns:
            For each tap `(B, C, H // stride, W // stride)`.

        Raises:
            ShapeError: not an image, or one too small for the deepest tap.
        """

    def train(self, mode: bool = True) -> "Encoder":
        """Frozen: stays in evaluation mode whatever the module around it does."""
        return super().train(False)

    @staticmethod
    def check_size(image: torch.Tensor, least: int) -> None:
        """Refuse what is no image, or one with a side shorter than `least` pixels."""
        check_image("image", image)
        if min(image.shape[-2:]) < least:
            raise ShapeError("image", f"(B, 3, H >= {least}, W >= {least})", image.shape)

    @staticmethod
    def select(taps: Sequence[str] | None, available: Sequence[str]) -> tuple[str, ...]:
        """The asked-for taps in the order of depth; all of them for None.

        Raises:
            InputError: a tap that this encoder does not have, or none at all.
        """
        if taps is None:
            return tuple(available)
        if not taps:
            raise InputError(f"taps: expected at least one of {', '.join(available)}")
        unknown = [tap for tap in taps if tap not in available]
        if unknown:
            raise InputError(f"taps: {unknown[0]!r} is not a tap of this encoder; it has {', '.join(available)}")
        return tuple(tap for tap in available if tap in taps)
