"""A trained look, applied: set up once, then photo after photo."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lookcast.checkpoints import find_checkpoint, load_checkpoint
from lookcast.checks import InputError
from lookcast.generators import Generator, GridGenerator, PairGenerator
from lookcast.inference.devices import halves_well, pick_device
from lookcast.inference.styles import EncodedStyle, list_styles, pair_masks
from lookcast.ops.bilateral.dispatch import PIXEL_TYPES, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import AnyImage, ImageT, open_image

_GIVEN = torch.empty(0)  # stands for a style in a check that only asks whether there is one


def load(
    path_or_name: str | Path | None = None, device: str | torch.device = "auto", precision: str = "auto"
) -> "Stylizer":
    """Load a checkpoint.

    Args:
        path_or_name: a `.safetensors` file, or the name of a checkpoint that ships with lookcast; None is the shipped
            universal one.
        device: see `pick_device`.
        precision: see `Stylizer`.

    Raises:
        CheckpointError: no such file or name, or a file that is no checkpoint of this version.
        InputError: a device that is not there, or an unknown precision.
    """
    chosen = pick_device(device)
    generator, header = load_checkpoint(find_checkpoint(path_or_name))
    return Stylizer(generator, header, chosen, precision)


class Stylizer:
    """A generator ready for photos. Stylizing changes nothing in it, so threads may share one.

    Args:
        generator: the network.
        header: what the checkpoint says about it.
        device: see `pick_device`.
        precision: `auto` lets the encoder of a universal look compute in bfloat16 where that is much faster, which
            moves pixels by a tenth of an 8-bit level in the mean and at most one or two; `float32` never does, so that
            results are the same on every machine to a level.

    Attributes:
        generator: the network, taken over: moved to the device and put into evaluation mode.
        header: what the checkpoint says about it.
        device: where it computes; images come back on the device they came from.
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
            generator.encoder.half_precision = precision == "auto" and halves_well(self.device)
        self._looks: tuple[EncodedStyle, ...] = ()

    def set_style(
        self,
        style: AnyImage | Sequence[AnyImage],
        style_mask: torch.Tensor | Sequence[torch.Tensor] | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        """Set the style for every later `stylize` that is given none; it is read only once.

        Args:
            style: as `stylize` takes it.
            style_mask: as `stylize` takes it.
            weights: as `stylize` takes them.

        Raises:
            InputError: the checkpoint has a single look, or styles, masks and weights do not fit together.
        """
        self.generator.check_style(_GIVEN, None, None)
        self._looks = self._read_styles(style, style_mask, weights)

    def stylize(
        self,
        content: ImageT,
        style: AnyImage | Sequence[AnyImage] | None = None,
        content_mask: torch.Tensor | Sequence[torch.Tensor] | None = None,
        style_mask: torch.Tensor | Sequence[torch.Tensor] | None = None,
        strength: float = 1.0,
        weights: Sequence[float] | None = None,
    ) -> ImageT:
        """Give a photo the look.

        Args:
            content: a PIL image of any mode; numpy `(H, W)`, `(H, W, 3)` or `(H, W, 4)`, uint8, uint16 or floating
                point in [0, 1]; torch `(3, H, W)` or `(B, 3, H, W)`, uint8 or floating point in [0, 1].
            style: an image of any of these kinds, for a universal checkpoint, or several, whose looks are mixed; None
                takes that of `set_style`.
            content_mask: `(B, K, h, w)`, of the content's aspect ratio (`read_mask` makes one from a file, `AutoMasks`
                without one); one for all styles, or one for each.
            style_mask: `(1, K, h, w)`, of the style's aspect ratio; one for each of several styles. A label of the
                content that a style lacks takes the look of that whole photo, with a line in the log.
            strength: 0 gives back the content bit by bit, 1 the full look; between, a linear blend of the two in sRGB,
                before what leaves [0, 1] is clamped.
            weights: share of each style in the mix, positive, of any sum; None mixes them alike.

        Returns:
            The same kind, size, bit depth and device; in [0, 1], integers rounded to the nearest level. Grey comes back
            as RGB, because a look adds colour; PIL images as RGB, or RGBA with their own alpha (PIL has no deeper
            colour).

        Raises:
            InputError: an image of another kind or range, a strength outside [0, 1], masks that do not fit or of one
                photo only, a style for a single-look checkpoint, or none for a universal one.
        """
        check_strength(strength)
        stored = self._looks  # read once: another thread may set a new one meanwhile
        given = style is not None or bool(stored)
        # Whether masks come in pairs is for `pair_masks` to see: that of a stored style came with it.
        pairs = self.generator.takes_style
        masked = [None if pairs or mask is None else _GIVEN for mask in (content_mask, style_mask)]
        self.generator.check_style(_GIVEN if given else None, *masked)
        if style is None and (style_mask is not None or weights is not None):
            name = "weights" if style_mask is None else "style_mask"
            raise InputError(f"{name}: given without the style photo it belongs to")
        opened = open_image("content", content)
        looks = stored if style is None else self._read_styles(style, style_mask, weights)
        content_masks = pair_masks(content_mask, looks, opened.pixels)
        # Not in inference mode, so that a tensor that is returned may take part in somebody's training.
        with torch.no_grad():
            result: ImageT = opened.restore(self._apply(opened.pixels, content_masks, looks, strength))
        return result

    def _apply(
        self,
        pixels: torch.Tensor,
        content_masks: Sequence[torch.Tensor | None],
        looks: Sequence[EncodedStyle],
        strength: float,
    ) -> torch.Tensor:
        """New pixels `(B, H, W, 3)` of the same type and device."""
        if strength == 0:
            return pixels.clone()
        if not isinstance(self.generator, GridGenerator | PairGenerator):
            return self._paint(pixels, strength)
        # The kernel takes these as they are; anything else is rare enough for a copy.
        placed = pixels.to(self.device, pixels.dtype if pixels.dtype in PIXEL_TYPES else torch.float32)
        with torch.inference_mode():
            grid = self._predict_grid(placed, content_masks, looks).float()
            # The look in part is a mix of it and of no look at all.
            batch, _, depth, height, width = grid.shape
            grid = torch.lerp(identity_grid(batch, depth, height, width, grid.device), grid, strength)
        photos = [apply_grid_to_pixels(*photo) for photo in zip(grid, placed, strict=True)]
        return torch.stack(photos).to(pixels) if len(photos) > 1 else photos[0][None].to(pixels)

    def _predict_grid(
        self, pixels: torch.Tensor, content_masks: Sequence[torch.Tensor | None], looks: Sequence[EncodedStyle]
    ) -> torch.Tensor:
        assert isinstance(self.generator, GridGenerator | PairGenerator)
        size = (self.generator.thumbnail, self.generator.thumbnail)
        thumbnails = torch.cat([resize_pixels(photo, size) for photo in pixels])
        if isinstance(self.generator, GridGenerator):
            return self.generator.predict_grid(thumbnails)
        readings: dict[int, Any] = {}  # of the content, one for each of its masks
        for mask in content_masks:
            if id(mask) not in readings:
                readings[id(mask)] = self.generator.read(thumbnails, None if mask is None else self._place(mask))
        grids = [
            self.generator.predict_grid(readings[id(mask)], look.reading) * look.weight
            for mask, look in zip(content_masks, looks, strict=True)
        ]
        return torch.stack(grids).sum(0)

    def _paint(self, pixels: torch.Tensor, strength: float) -> torch.Tensor:
        """The way of a generator without a grid: the whole photo through the network, in floating point."""
        levels = 1 if pixels.is_floating_point() else torch.iinfo(pixels.dtype).max
        content = pixels.permute(0, 3, 1, 2).to(self.device, torch.float32) / levels
        with torch.inference_mode():
            painted = self.generator(content).image
        values = torch.lerp(content, painted, strength).clamp(0, 1) * levels
        return (values if levels == 1 else values.round()).permute(0, 2, 3, 1).to(pixels)

    def _read_styles(
        self,
        style: AnyImage | Sequence[AnyImage],
        style_mask: torch.Tensor | Sequence[torch.Tensor] | None,
        weights: Sequence[float] | None,
    ) -> tuple[EncodedStyle, ...]:
        assert isinstance(self.generator, PairGenerator)
        looks = []
        for photo in list_styles(style, style_mask, weights):
            mask = None if photo.mask is None else self._place(photo.mask)
            with torch.inference_mode():
                thumbnail = resize_pixels(photo.pixels[0], (self.generator.thumbnail, self.generator.thumbnail))
                looks.append(EncodedStyle(self.generator.read(self._place(thumbnail), mask), photo.weight, photo.mask))
        return tuple(looks)

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, torch.float32)


def check_strength(strength: float) -> None:
    """Refuse a strength outside [0, 1].

    Raises:
        InputError: it is outside, or not a number.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength: expected a number in [0, 1], got {strength}")
