"""A trained look, applied to photo after photo."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lookcast.checkpoints import find_checkpoint, load_checkpoint
from lookcast.checks import InputError
from lookcast.generators import Generator, GridGenerator, PairGenerator
from lookcast.inference.devices import bfloat16_is_faster, pick_device, usual_torch
from lookcast.inference.masks import Masks, open_mask, place_masks
from lookcast.inference.styles import EncodedStyle, Style, check_strength, open_style, style_inputs
from lookcast.ops.bilateral.dispatch import PIXEL_TYPES, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import ImageT, open_image
from lookcast.structures import StyleInput


def load(
    path_or_name: str | Path | None = None, device: str | torch.device = "auto", precision: str = "auto"
) -> "Stylizer":
    """Load a checkpoint.

    Args:
        path_or_name: a `.safetensors` file, or the name of a checkpoint that ships with lookcast; None is the shipped
            universal checkpoint.
        device: see `pick_device`.
        precision: see `Stylizer`.

    Raises:
        CheckpointError: no such file or name, or a file that is no checkpoint of this version.
        InputError: a device that this machine does not have, or an unknown precision.
    """
    chosen = pick_device(device)
    with usual_torch():
        generator, header = load_checkpoint(find_checkpoint(path_or_name))
        return Stylizer(generator, header, chosen, precision)


class Stylizer:
    """A generator ready for photos. Stylizing changes nothing in it, so threads may share one.

    Args:
        generator: the network.
        header: the checkpoint's description of it.
        device: see `pick_device`.
        precision: `auto` lets the encoder of a universal generator compute in bfloat16 where that is much faster. It
            moves pixels by a tenth of an 8-bit level in the mean and by at most one or two. `float32` never does, so
            that results are the same on every machine to a level.

    Attributes:
        generator: the network, taken over: moved to the device and put into evaluation mode.
        header: the checkpoint's description of it.
        device: the device it computes on; images come back on the device they came from.
    """

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
        self._styles: tuple[EncodedStyle, ...] = ()

    def set_style(self, style: Style, style_mask: Masks | None = None, weights: Sequence[float] | None = None) -> None:
        """Set the style of every later `stylize` without one; it is encoded only once.

        Args:
            style: as `stylize` takes it.
            style_mask: as `stylize` takes it.
            weights: as `stylize` takes them.

        Raises:
            InputError: the checkpoint has a single look, or styles, masks and weights do not fit together.
        """
        self._styles = self._encode(style_inputs(style, style_mask, weights))

    def stylize(
        self,
        content: ImageT,
        style: Style | None = None,
        content_mask: Masks | None = None,
        style_mask: Masks | None = None,
        strength: float = 1.0,
        weights: Sequence[float] | None = None,
    ) -> ImageT:
        """Give a photo the look of a style.

        Args:
            content: a PIL image of any mode; numpy `(H, W)`, `(H, W, 3)` or `(H, W, 4)`, uint8, uint16 or floating
                point in [0, 1]; torch `(3, H, W)` or `(B, 3, H, W)`, uint8 or floating point in [0, 1].
            style: for a universal checkpoint, an image of any of these kinds; a list of several mixes their looks. A
                `StyleInput` holds a photo with its mask and weight. None takes the style of `set_style`.
            content_mask: the content's regions: uint8 labels `(H, W)` or `(B, H, W)`, which `read_mask` reads from a
                file, or `(B, K, h, w)` in [0, 1]; of the content's aspect ratio. One mask serves all styles; a list
                holds one for each.
            style_mask: the style's regions, of the same kinds and of the style's aspect ratio; a list for several
                styles. A label of the content that a style lacks takes the look of that whole photo; the log says so.
            strength: 0 gives back the content bit by bit, 1 the full look; between them, a linear blend of the two in
                sRGB, clamped to [0, 1] afterwards.
            weights: share of each style in the mix, positive, of any sum; None mixes them equally.

        Returns:
            An image of the content's kind, size, bit depth and device, in [0, 1]; integers are rounded to the nearest
            level. Grey becomes RGB, because a look adds colour. PIL images come back as RGB, or as RGBA with their own
            alpha (PIL has no 16-bit colour).

        Raises:
            InputError: an image of another kind or range, a strength outside [0, 1], masks that do not fit or of one
                photo only, a style for a single-look checkpoint, or none for a universal one.
        """
        strength = check_strength(strength)
        if not self.generator.takes_style:
            self.generator.check_style(style, content_mask, style_mask)
        if style is None and (style_mask is not None or weights is not None):
            name = "weights" if style_mask is None else "style_mask"
            raise InputError(f"{name}: given without the style photo it belongs to")
        styles = self._styles if style is None else self._encode(style_inputs(style, style_mask, weights))
        image = open_image("content", content)
        result: ImageT = image.restore(self.stylize_pixels(image.pixels, content_mask, strength, styles))
        return result

    def stylize_pixels(
        self,
        pixels: torch.Tensor,
        content_mask: Masks | None = None,
        strength: float = 1.0,
        styles: Sequence[EncodedStyle] | None = None,
    ) -> torch.Tensor:
        """Give pixels the look; the part of `stylize` that takes no other kinds of image and checks no range.

        Args:
            pixels: `(B, H, W, 3)` in any memory layout: uint8, uint16, or floating point in [0, 1].
            content_mask: as in `stylize`.
            strength: in [0, 1].
            styles: None takes those of `set_style`.

        Returns:
            `(B, H, W, 3)`, of the type and on the device of `pixels`.

        Raises:
            InputError: masks that do not fit, or no style for a universal checkpoint.
        """
        styles = self._styles if styles is None else styles  # read once: another thread may set others meanwhile
        if self.generator.takes_style and not styles:
            self.generator.check_style(None, None, None)
        if not self.generator.takes_style and content_mask is not None:
            self.generator.check_style(None, content_mask, None)
        # Not in inference mode, so that the caller may train with the tensor that is returned.
        with torch.no_grad(), usual_torch():
            masks: Sequence[torch.Tensor | None] = [None] * len(styles)
            if content_mask is not None or any(style.mask is not None for style in styles):
                masks = place_masks(content_mask, styles, pixels, self.device, self._mask_side)
            if strength == 0:
                return pixels.clone()
            if not isinstance(self.generator, GridGenerator | PairGenerator):
                return self._run_on_whole_photo(pixels, strength)
            # The kernel takes these types as they are; others are rare enough for a copy.
            placed = pixels.to(self.device, pixels.dtype if pixels.dtype in PIXEL_TYPES else torch.float32)
            with torch.inference_mode():
                grid = self._predict_grid(placed, masks, styles).float()
                # The grid of strength 0 is the identity.
                batch, _, depth, height, width = grid.shape
                grid = torch.lerp(identity_grid(batch, depth, height, width, grid.device), grid, strength)
            photos = [apply_grid_to_pixels(*photo) for photo in zip(grid, placed, strict=True)]
            return (torch.stack(photos) if len(photos) > 1 else photos[0][None]).to(pixels)

    def _predict_grid(
        self, pixels: torch.Tensor, masks: Sequence[torch.Tensor | None], styles: Sequence[EncodedStyle]
    ) -> torch.Tensor:
        """Return the mean of the styles' grids `(B, 12, D, GH, GW)`, by weight."""
        assert isinstance(self.generator, GridGenerator | PairGenerator)
        thumbnails = torch.cat([resize_pixels(photo, (self._side, self._side)) for photo in pixels])
        if isinstance(self.generator, GridGenerator):
            return self.generator.predict_grid(thumbnails)
        contents: dict[int, Any] = {}  # the content's statistics, for each of its masks
        grids = []
        for mask, style in zip(masks, styles, strict=True):
            if id(mask) not in contents:
                contents[id(mask)] = self.generator.read(thumbnails, mask)
            grids.append(self.generator.predict_grid(contents[id(mask)], style.statistics) * style.weight)
        return torch.stack(grids).sum(0)

    def _run_on_whole_photo(self, pixels: torch.Tensor, strength: float) -> torch.Tensor:
        """Stylize with a generator without a grid: the network computes every pixel, in floating point."""
        levels = 1 if pixels.is_floating_point() else torch.iinfo(pixels.dtype).max
        content = pixels.permute(0, 3, 1, 2).to(self.device, torch.float32) / levels
        with torch.inference_mode():
            output = self.generator(content).image
        values = torch.lerp(content, output, strength).clamp(0, 1) * levels
        return (values if levels == 1 else values.round()).permute(0, 2, 3, 1).to(pixels)

    def _encode(self, styles: Sequence[StyleInput]) -> tuple[EncodedStyle, ...]:
        self.generator.check_style(styles, None, None)
        assert isinstance(self.generator, PairGenerator)
        encoded = []
        with torch.inference_mode(), usual_torch():
            for style in styles:
                pixels = open_style(style.photo)
                mask = style.mask
                if mask is not None:
                    mask = open_mask("style_mask", mask, pixels, self.device, self._mask_side)
                thumbnail = resize_pixels(pixels[0], (self._side, self._side)).to(self.device)
                encoded.append(EncodedStyle(self.generator.read(thumbnail, mask), mask, style.weight))
        return tuple(encoded)
