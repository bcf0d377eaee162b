"""The interface of generators: content in, stylized photo out."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn

from lookcast.checks import InputError, check_image
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.regions import check_mask_pairing
from lookcast.structures import Stylization


class Generator(nn.Module, ABC):
    """A network that stylizes photos.

    Attributes:
        name: its name in checkpoints.
        needs_encoder: whether the constructor takes the frozen compact encoder as `encoder`. The encoder is kept under
            that name; it is not among the arguments.
        takes_style: whether it takes a style photo. A generator with a fixed style does not.
        encoder: the frozen encoder, if the generator needs one.
        arguments: the arguments of the constructor, JSON values; a checkpoint rebuilds the generator from them.
    """

    name: ClassVar[str]
    needs_encoder: ClassVar[bool] = False
    takes_style: ClassVar[bool]
    arguments: dict[str, Any]
    encoder: Any

    def forward(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None = None,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
    ) -> Stylization:
        """Stylize a batch of photos.

        Args:
            content: `(B, 3, H, W)` in [0, 1], any size.
            style: `(1 or B, 3, H', W')` in [0, 1], only for a generator that takes one.
            content_mask: `(B, K, h, w)` in [0, 1], any size, only for a generator that takes a style.
            style_mask: `(1 or B, K, h', w')` in [0, 1]; both masks or neither.

        Returns:
            An image of the content's size, not clamped, and the grid if the generator has one.

        Raises:
            InputError: a style or a mask for a generator with a fixed style; no style, or one mask alone, for another.
        """
        check_image("content", content)
        self.check_style(style, content_mask, style_mask)
        if style is not None:
            check_image("style", style)
        return self.stylize(content, style, content_mask, style_mask)

    @abstractmethod
    def stylize(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None,
        content_mask: torch.Tensor | None,
        style_mask: torch.Tensor | None,
    ) -> Stylization:
        """Stylize inputs that `forward` has checked."""

    def check_style(self, style: object, content_mask: object, style_mask: object) -> None:
        """Refuse a style or masks that this generator would ignore, and a missing style.

        Args:
            style: anything but None stands for a style photo.
            content_mask: anything but None stands for a mask.
            style_mask: anything but None stands for a mask.

        Raises:
            InputError: see `forward`.
        """
        if self.takes_style:
            if style is None:
                raise InputError(f"style: the {self.name} generator needs a style photo")
            check_mask_pairing(content_mask, style_mask)
            return
        for name, value in (("style", style), ("content_mask", content_mask), ("style_mask", style_mask)):
            if value is not None:
                fixed = f"the {self.name} generator has a fixed style"
                raise InputError(f"{name}: {fixed}; it takes no style photo and no masks")


class GridGenerator(Generator):
    """A generator with a fixed style that predicts a bilateral grid from a thumbnail.

    The luma of the photo is the guide of the slicing. Every output pixel is an affine transform of the colour of its
    content pixel, so no texture can be invented.

    Attributes:
        thumbnail: side of the square thumbnail, in pixels.
    """

    takes_style = False
    thumbnail: int

    def stylize(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None,
        content_mask: torch.Tensor | None,
        style_mask: torch.Tensor | None,
    ) -> Stylization:
        """Predict the grid and apply it."""
        grid = self.predict_grid(content)
        return Stylization(apply_grid(grid, content), grid)

    @abstractmethod
    def predict_grid(self, content: torch.Tensor) -> torch.Tensor:
        """Predict the grid `(B, 12, D, GH, GW)` for photos `(B, 3, H, W)` in [0, 1]; the thumbnail is enough."""


class PairGenerator(Generator):
    """A generator that predicts a bilateral grid from a content and a style photo.

    It reads each photo by itself first, so that one style serves many contents.

    Attributes:
        thumbnail: side of the square thumbnail of a photo, in pixels: the most that `read` uses of it.
        mask_side: side of the square to which `read` averages a mask.
    """

    takes_style = True
    thumbnail: int
    mask_side: int

    def stylize(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None,
        content_mask: torch.Tensor | None,
        style_mask: torch.Tensor | None,
    ) -> Stylization:
        """Read both photos, predict the grid and apply it."""
        assert style is not None
        grid = self.predict_grid(self.read(content, content_mask), self.read(style, style_mask))
        return Stylization(apply_grid(grid, content), grid)

    @abstractmethod
    def read(self, photo: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        """Return the statistics that `predict_grid` needs of a photo, content or style.

        Args:
            photo: `(B, 3, H, W)` in [0, 1], any size; the thumbnail is enough.
            mask: `(B, K, h, w)` in [0, 1], any size, or None without masks.
        """

    @abstractmethod
    def predict_grid(self, content: Any, style: Any) -> torch.Tensor:
        """Predict the grid `(B, 12, D, GH, GW)`; to mix several styles, average their grids by weight.

        Args:
            content: statistics of the content.
            style: statistics of the style, with batch size 1 or B. Either both photos have masks with the same labels,
                or neither photo has a mask.
        """
