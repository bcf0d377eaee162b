"""Stylization of pixels in tensors, and its two steps: the prediction of grids, and their slicing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from lookcast.checks import InputError
from lookcast.generators import Generator, GridGenerator, PairGenerator
from lookcast.inference.cuda_graph import CudaGraphs
from lookcast.inference.devices import bfloat16_is_faster, pick_device, usual_torch
from lookcast.inference.grids import blend_grid, predict_grid, stylize_whole
from lookcast.inference.masks import Masks, open_mask, place_masks, read_masks
from lookcast.inference.refine import open_refine, refine_grid
from lookcast.inference.styles import EncodedStyle, open_style
from lookcast.ops.bilateral.dispatch import PIXEL_TYPES, apply_grid_to_pixels, apply_grid_to_rows
from lookcast.ops.resize import resize_pixels
from lookcast.structures import StyleInput

if TYPE_CHECKING:
    from lookcast.fitting.look_fit import LookFit


class PixelStylizer:
    """The part of a `Stylizer` that works on tensors. `Stylizer` describes the arguments and the attributes."""

    def __init__(
        self,
        generator: Generator,
        header: dict[str, Any],
        device: str | torch.device = "auto",
        precision: str = "auto",
    ) -> None:
        if precision not in ("auto", "float32"):
            raise InputError(f"precision: expected auto or float32, got {precision!r}")
        self.device = pick_device(device)
        self.generator = generator.to(self.device).eval()
        self.header = header
        if generator.needs_encoder:
            generator.encoder.half_precision = precision == "auto" and bfloat16_is_faster(self.device)
        self._side = generator.thumbnail if isinstance(generator, GridGenerator | PairGenerator) else 0
        self._mask_side = generator.mask_side if isinstance(generator, PairGenerator) else 0
        self.styles: tuple[EncodedStyle, ...] = ()
        self._graphs = CudaGraphs()

    def stylize_pixels(
        self,
        pixels: torch.Tensor,
        content_mask: Masks | None = None,
        strength: float = 1.0,
        styles: Sequence[EncodedStyle] | None = None,
        refine: "int | LookFit" = 0,
    ) -> torch.Tensor:
        """Stylize a tensor of pixels, without the conversions and range checks of `stylize`.

        Args:
            pixels: content `(B, H, W, 3)` in any memory layout: uint8, uint16, or floating point in [0, 1].
            content_mask: see `stylize`.
            strength: see `stylize`.
            styles: encoded styles; None uses the styles that `set_style` has set.
            refine: see `stylize`.

        Returns:
            Stylized pixels `(B, H, W, 3)`, with the type and device of `pixels`.

        Raises:
            InputError: a mask does not match its photo, a universal checkpoint has no style, or `refine` is invalid.
        """
        # The result is made outside of inference mode, so that callers may use it in training.
        with torch.no_grad(), usual_torch():
            styles, masks, fit = self._check(pixels, content_mask, styles, refine)
            if strength == 0:
                return pixels.clone()
            if not isinstance(self.generator, GridGenerator | PairGenerator):
                return stylize_whole(self.generator, pixels, strength, self.device)
            return self.apply_grid(self._predict(pixels, content_mask, styles, masks, fit), pixels, strength)

    def predict_grid(
        self,
        pixels: torch.Tensor,
        content_mask: Masks | None = None,
        styles: Sequence[EncodedStyle] | None = None,
        refine: "int | LookFit" = 0,
    ) -> torch.Tensor:
        """Predict the grids of photos, without slicing them. `apply_grid` slices them, at any strength and size.

        Args:
            pixels: see `stylize_pixels`.
            content_mask: see `stylize`.
            styles: see `stylize_pixels`.
            refine: see `stylize`.

        Returns:
            Grids `(B, 12, D, GH, GW)`, on the device of the generator.

        Raises:
            InputError: see `stylize_pixels`; or the generator predicts pixels instead of a grid.
        """
        with torch.no_grad(), usual_torch():
            styles, masks, fit = self._check(pixels, content_mask, styles, refine)
            return self._predict(pixels, content_mask, styles, masks, fit)

    def apply_grid(self, grid: torch.Tensor, pixels: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
        """Slice grids `(B, 12, D, GH, GW)` at the pixels of photos; see `stylize_pixels` for the pixels and the result.

        `apply_grid(predict_grid(pixels), pixels, strength)` equals `stylize_pixels(pixels, strength=strength)`.
        """
        if strength == 0:
            return pixels.clone()
        with torch.inference_mode(), usual_torch():
            grid = blend_grid(grid, strength)
            placed = self._place(pixels)
            photos = [apply_grid_to_pixels(*photo) for photo in zip(grid, placed, strict=True)]
        with torch.no_grad():
            return (torch.stack(photos) if len(photos) > 1 else photos[0][None]).to(pixels)

    def apply_grid_to_rows(
        self, grid: torch.Tensor, pixels: torch.Tensor, strength: float, top: int, bottom: int
    ) -> torch.Tensor:
        """Return the rows `top` to `bottom` of `apply_grid`, without computing the other rows on a CPU."""
        if strength == 0:
            return pixels[:, top:bottom].clone()
        with torch.inference_mode(), usual_torch():
            grid = blend_grid(grid, strength)
            photos = zip(grid, self._place(pixels), strict=True)
            rows = [apply_grid_to_rows(*photo, top, bottom) for photo in photos]
        with torch.no_grad():
            return torch.stack(rows).to(pixels)

    def _check(
        self,
        pixels: torch.Tensor,
        content_mask: Masks | None,
        styles: Sequence[EncodedStyle] | None,
        refine: "int | LookFit",
    ) -> tuple[Sequence[EncodedStyle], Sequence[torch.Tensor | None], "LookFit | None"]:
        """Check the arguments of `stylize_pixels`. Return the styles, the content mask of each style, and the fit."""
        styles = self.styles if styles is None else styles  # read once, because another thread may call `set_style`
        if self.generator.takes_style and not styles:
            self.generator.check_style(None, None, None)
        if not self.generator.takes_style and content_mask is not None:
            self.generator.check_style(None, content_mask, None)
        fit = open_refine(refine)
        if fit is not None and not self.generator.takes_style:
            raise InputError("refine: needs a checkpoint that takes a style photo")
        masks: Sequence[torch.Tensor | None] = [None] * len(styles)
        if content_mask is not None or any(style.mask is not None for style in styles):
            masks = place_masks(content_mask, styles, pixels, self.device, self._mask_side)
        return styles, masks, fit

    def _predict(
        self,
        pixels: torch.Tensor,
        content_mask: Masks | None,
        styles: Sequence[EncodedStyle],
        masks: Sequence[torch.Tensor | None],
        fit: "LookFit | None",
    ) -> torch.Tensor:
        """Predict grids, and refine them if there is a fit. The arguments are those that `_check` returns."""
        if not isinstance(self.generator, GridGenerator | PairGenerator):
            raise InputError(f"checkpoint: a generator {self.generator.name!r} predicts pixels instead of a grid")
        placed = self._place(pixels)
        with torch.inference_mode():
            thumbnails = torch.cat([resize_pixels(photo, (self._side, self._side)) for photo in placed])

            def predict(thumbnails: torch.Tensor) -> torch.Tensor:
                assert isinstance(self.generator, GridGenerator | PairGenerator)
                return predict_grid(self.generator, thumbnails, masks, styles).float()

            recorded = self.device.type == "cuda" and styles is self.styles and all(mask is None for mask in masks)
            grid = (self._graphs.find(predict, thumbnails, styles, self.generator) if recorded else predict)(thumbnails)
        if fit is None:
            return grid
        assert isinstance(self.generator, PairGenerator)
        return refine_grid(fit, self.generator, grid.clone(), placed, content_mask, styles)

    def _place(self, pixels: torch.Tensor) -> torch.Tensor:
        """Move pixels to the device. The kernel reads `PIXEL_TYPES`; other types are rare and become float32."""
        return pixels.to(self.device, pixels.dtype if pixels.dtype in PIXEL_TYPES else torch.float32)

    def _encode(self, styles: Sequence[StyleInput]) -> tuple[EncodedStyle, ...]:
        self.generator.check_style(styles, None, None)
        assert isinstance(self.generator, PairGenerator)
        encoded = []
        with torch.inference_mode(), usual_torch():
            for style in styles:
                pixels = open_style(style.photo)
                given = read_masks("style_mask", style.mask)
                assert given is None or isinstance(given, torch.Tensor)
                mask = None
                if given is not None:
                    mask = open_mask("style_mask", given, pixels, self.device, self._mask_side)
                thumbnail = resize_pixels(pixels[0], (self._side, self._side)).to(self.device)
                statistics = self.generator.read(thumbnail, mask)
                encoded.append(EncodedStyle(statistics, mask, style.weight, StyleInput(pixels, given, style.weight)))
        return tuple(encoded)
