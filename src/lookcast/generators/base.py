"""The interface of generators, the networks that stylize photos."""

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
        name: name of the generator in checkpoints.
        needs_encoder: whether the constructor takes the frozen compact encoder as `encoder`.
        takes_style: whether the generator takes a style photo; False for a generator with a fixed style.
        encoder: the frozen encoder, if `needs_encoder` is True.
        arguments: the constructor's arguments as JSON values, without the encoder. A checkpoint stores these values to
            rebuild the generator.
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
            style: `(1 or B, 3, H', W')` in [0, 1], required if `takes_style` is True, and refused otherwise.
            content_mask: `(B, K, h, w)` in [0, 1], any size, refused if `takes_style` is False.
            style_mask: `(1 or B, K, h', w')` in [0, 1]; required with `content_mask`, and refused otherwise.

        Returns:
            The stylized image in the size of the content, not clamped. Also the grid, if the generator predicts one.

        Raises:
            InputError: `style` or a mask is given for a generator with a fixed style. `style` is missing, or only one
                mask is given, for a generator that takes a style.
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
        """Refuse a style or masks that the generator does not take, and refuse a missing style.

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

    Slicing takes the luma of the photo as its guide. Every output colour is an affine transform of the pixel's own
    colour, so the generator can't invent texture.

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
        """Predict the grid and apply the grid to the content."""
        grid = self.predict_grid(content)
        return Stylization(apply_grid(grid, content), grid)

    @abstractmethod
    def predict_grid(self, content: torch.Tensor) -> torch.Tensor:
        """Predict the grid `(B, 12, D, GH, GW)` for photos `(B, 3, H, W)` in [0, 1], or for their thumbnails."""


class PairGenerator(Generator):
    """A generator that predicts a bilateral grid from a content and a style photo.

    The generator reads content and style separately, so many contents can use the statistics of one style.

    Attributes:
        thumbnail: maximum side of the square thumbnail to which `read` resizes a photo, in pixels.
        mask_side: side of the square mask to which `read` resizes a mask, in pixels.
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
        """Read both photos, predict the grid and apply the grid to the content."""
        assert style is not None
        grid = self.predict_grid(self.read(content, content_mask), self.read(style, style_mask))
        return Stylization(apply_grid(grid, content), grid)

    @abstractmethod
    def read(self, photo: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        """Return the statistics of a content or style photo for `predict_grid`.

        Args:
            photo: the photo `(B, 3, H, W)` in [0, 1], any size, or its thumbnail.
            mask: `(B, K, h, w)` in [0, 1], any size; None stands for no mask.
        """

    @abstractmethod
    def predict_grid(self, content: Any, style: Any) -> torch.Tensor:
        """Predict the grid `(B, 12, D, GH, GW)`.

        The weighted average of the grids for several styles gives a mix of these styles.

        Args:
            content: statistics of the content from `read`.
            style: statistics of the style from `read`, with batch size 1 or B. Either both photos have masks with
                the same labels, or neither photo has a mask.
        """
