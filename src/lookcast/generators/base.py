"""What a generator is: content in, stylized photo out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from lookcast.checks import InputError, check_image
from lookcast.structures import Stylization


class Generator(nn.Module, ABC):
    """A network that gives photos a look.

    Attributes:
        name: what checkpoints call it.
        needs_encoder: whether it is constructed with the frozen compact encoder, handed in as `encoder` and kept under
            that name; not in its arguments.
        takes_style: whether it takes a style photo; False for a single look, baked into the weights.
        encoder: the frozen encoder of a generator that needs one.
        arguments: what it was constructed with, JSON values; a checkpoint rebuilds it from them.
    """

    name: ClassVar[str]
    needs_encoder: ClassVar[bool] = False
    takes_style: ClassVar[bool]
    arguments: dict[str, Any]
    encoder: Any

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
            InputError: a style or mask handed to a single-look generator; none, or one mask alone, to a universal one.
        """

    def check_style(
        self, style: torch.Tensor | None, content_mask: torch.Tensor | None, style_mask: torch.Tensor | None
    ) -> None:
        """Refuse what the generator would have to ignore."""
        if self.takes_style:
            if style is None:
                raise InputError(f"style: the {self.name} generator needs a style photo")
            if (content_mask is None) != (style_mask is None):
                given = "style_mask" if content_mask is None else "content_mask"
                raise InputError(f"{given}: given without the mask of the other photo; masks come in pairs")
            return
        for name, value in (("style", style), ("content_mask", content_mask), ("style_mask", style_mask)):
            if value is not None:
                raise InputError(f"{name}: this {self.name} generator has a single look baked in and takes none")


class PairGenerator(Generator):
    """A generator that takes a style photo: both photos are read first, so that a style serves many contents."""

    takes_style = True

    def forward(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None = None,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
    ) -> Stylization:
        """See `Generator.forward`."""
        check_image("content", content)
        self.check_style(style, content_mask, style_mask)
        assert style is not None
        check_image("style", style)
        return self.render(content, self.read(content, content_mask), [(self.read(style, style_mask), 1.0)])

    @abstractmethod
    def read(self, photo: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        """What the generator needs of a photo, content or style.

        Args:
            photo: `(B, 3, H, W)` in [0, 1].
            mask: its regions, `(B, K, h, w)` of any size, or None.
        """

    @abstractmethod
    def render(self, content: torch.Tensor, reading: Any, styles: Sequence[tuple[Any, float]]) -> Stylization:
        """Give photos the look of one style, or of several mixed.

        Args:
            content: `(B, 3, H, W)` in [0, 1].
            reading: of the content.
            styles: readings, of batch 1 or B, with masks if the content's has one; and weights that sum to 1.
        """
