"""What a generator is: content in, stylized photo out."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn

from lookcast.checks import InputError, check_image
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.regions import check_mask_pairing
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
            check_mask_pairing(content_mask, style_mask)
            return
        for name, value in (("style", style), ("content_mask", content_mask), ("style_mask", style_mask)):
            if value is not None:
                raise InputError(f"{name}: this {self.name} generator has a single look baked in and takes none")


class GridGenerator(Generator):
    """A single look as a bilateral grid, predicted from a thumbnail and sliced by luma: photographic by construction.

    Attributes:
        thumbnail: side of the square thumbnail that it looks at.
    """

    takes_style = False
    thumbnail: int

    def forward(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None = None,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
    ) -> Stylization:
        """See `Generator.forward`; a single look, so no style and no masks."""
        check_image("content", content)
        self.check_style(style, content_mask, style_mask)
        grid = self.predict_grid(content)
        return Stylization(apply_grid(grid, content), grid)

    @abstractmethod
    def predict_grid(self, content: torch.Tensor) -> torch.Tensor:
        """The grid `(B, 12, D, GH, GW)` for photos `(B, 3, H, W)` in [0, 1] of any size: the thumbnail will do."""


class PairGenerator(Generator):
    """A generator that takes a style photo: both photos are read first, so that a style serves many contents.

    Attributes:
        thumbnail: side of the square thumbnail that it looks at.
    """

    takes_style = True
    thumbnail: int

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
        grid = self.predict_grid(self.read(content, content_mask), self.read(style, style_mask))
        return Stylization(apply_grid(grid, content), grid)

    @abstractmethod
    def read(self, photo: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        """What the generator needs of a photo, content or style.

        Args:
            photo: `(B, 3, H, W)` in [0, 1] of any size: the thumbnail will do.
            mask: its regions, `(B, K, h, w)` of any size, or None.
        """

    @abstractmethod
    def predict_grid(self, content: Any, style: Any) -> torch.Tensor:
        """The grid `(B, 12, D, GH, GW)`; grids of several styles mix by their weighted mean.

        Args:
            content: a reading.
            style: a reading, of batch 1 or B; both have masks of the same labels, or neither has.
        """
