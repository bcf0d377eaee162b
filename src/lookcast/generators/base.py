"""What a generator is: content in, stylized photo out."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn

from lookcast.checks import InputError
from lookcast.structures import Stylization


class Generator(nn.Module, ABC):
    """A network that gives photos a look.

    Attributes:
        name: what checkpoints call it.
        needs_encoder: whether it is constructed with a frozen encoder, handed in as `encoder`; not in its arguments.
        takes_style: whether it takes a style photo; False for a single look, baked into the weights.
        arguments: what it was constructed with, JSON values; a checkpoint rebuilds it from them.
    """

    name: ClassVar[str]
    needs_encoder: ClassVar[bool] = False
    takes_style: ClassVar[bool]
    arguments: dict[str, Any]

    @abstractmethod
    def forward(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None = None,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
    ) -> Stylization:
        """Stylize.

        Args:
            content: `(B, 3, H, W)` in [0, 1], any size.
            style: `(1 or B, 3, H', W')` in [0, 1]; only for a generator that takes one.
            content_mask: `(B, K, H, W)`.
            style_mask: `(1 or B, K, H', W')`.

        Returns:
            An image of the content's size, not clamped, and the grid if the generator has one.

        Raises:
            InputError: a style or mask handed to a single-look generator, or none to a universal one.
        """

    def check_style(
        self, style: torch.Tensor | None, content_mask: torch.Tensor | None, style_mask: torch.Tensor | None
    ) -> None:
        """Refuse what the generator would have to ignore."""
        if self.takes_style:
            if style is None:
                raise InputError(f"style: the {self.name} generator needs a style photo")
            return
        for name, value in (("style", style), ("content_mask", content_mask), ("style_mask", style_mask)):
            if value is not None:
                raise InputError(f"{name}: this {self.name} generator has a single look baked in and takes none")
