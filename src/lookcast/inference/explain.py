"""The values with which a checkpoint stylizes a photo: what the network saw, what it predicted, and why."""

from copy import copy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from lookcast.checks import InputError
from lookcast.encoders.scenes import SCENES
from lookcast.generators import FittedGenerator, FixedStyleGenerator, GridGenerator, PairGenerator, UniversalGenerator
from lookcast.generators.stages import GridStages
from lookcast.generators.statistics import PhotoStatistics, depth_shares
from lookcast.inference.devices import usual_torch
from lookcast.inference.masks import AnyMasks, place_masks, read_masks
from lookcast.inference.styles import Style
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_pixels
from lookcast.ops.transport import FROM_OPPONENT
from lookcast.photos.adapters import AnyImage, open_image

PREVIEW = 640
"""Maximum side of the previews of an `Explanation`, in pixels."""


class Explanation(NamedTuple):
    """The values with which a checkpoint stylized one photo, on the CPU.

    Attributes:
        preview: the content, shrunk to at most 640 px per side, `(1, 3, H, W)` in [0, 1].
        thumbnail: the thumbnail of the content that the network read, `(1, 3, S, S)`; None if the checkpoint reads no
            photo.
        style_preview: the style, shrunk like the content. For a fixed style, which is not stored, the mean colours of
            its 64 x 64 places. None for a checkpoint without a style.
        style_thumbnail: the thumbnail of the style that the network read; None without a style photo.
        stages: the stages of the prediction; None for a generator that predicts the grid from the content only.
        style_regions: the regions of the style, `(1, K, 64, 64)`: its mask, or the predicted classes; None without
            `stages`.
        grid: the grid that slicing applies to the photo at full resolution, `(1, 12, D, GH, GW)`.
        masked: whether the regions come from masks; False if the network predicted them.
        names: names of the K regions that the network predicted; empty with masks, or if the network has no names.
    """

    preview: torch.Tensor
    thumbnail: torch.Tensor | None
    style_preview: torch.Tensor | None
    style_thumbnail: torch.Tensor | None
    stages: GridStages | None
    style_regions: torch.Tensor | None
    grid: torch.Tensor
    masked: bool = False
    names: tuple[str, ...] = ()

    def steps(self) -> dict[str, torch.Tensor]:
        """Return the grid after each stage, from `photo`, which changes nothing, to the grid of the output."""
        identity = identity_grid(1, *self.grid.shape[2:])
        if self.stages is None:
            return {"photo": identity, "look": self.grid}
        grids = {"photo": identity}
        for name, change in self.stages.changes().items():
            grids[name] = list(grids.values())[-1] + change
        return grids

    def cell_colors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which pixels of the preview each cell of the grid recolours.

        Returns:
            The share of the cell's pixels at each depth, `(D, GH, GW)`, whose sum over D is 1, and the mean colour of
            these pixels, `(D, 3, GH, GW)`. A pixel between two depths counts for both, as in slicing.
        """
        depth, *cells = self.grid.shape[2:]
        plane = (cells[0], cells[1])
        weights = depth_shares(luma(self.preview), depth)[0, :, None]
        shares = F.adaptive_avg_pool2d(weights, plane)
        colors = F.adaptive_avg_pool2d(weights * self.preview, plane)
        return shares[:, 0], colors / shares.clamp_min(1e-6)

    def step_colors(self) -> dict[str, torch.Tensor]:
        """Return the mean colour of each cell after each stage, `(3, GH, GW)` in [0, 1] for each step."""
        plane = (self.grid.shape[3], self.grid.shape[4])
        images = {name: apply_grid(grid, self.preview).clamp(0, 1) for name, grid in self.steps().items()}
        return {name: F.adaptive_avg_pool2d(image, plane)[0] for name, image in images.items()}


@torch.no_grad()
def explain(
    stylizer: Stylizer,
    content: AnyImage,
    style: Style | None = None,
    content_mask: AnyMasks | None = None,
    style_mask: AnyMasks | None = None,
) -> Explanation:
    """Explain how a checkpoint gives a photo its look.

    Args:
        stylizer: the loaded checkpoint.
        content: one photo; see `Stylizer.stylize`.
        style: one style photo; see `Stylizer.stylize`. None uses the style that `set_style` has set.
        content_mask: see `Stylizer.stylize`.
        style_mask: see `Stylizer.stylize`.

    Raises:
        InputError: there are several photos or several styles, the generator of the checkpoint predicts no grid, or
            `Stylizer.stylize` refuses the arguments.
    """
    generator = stylizer.generator
    if not isinstance(generator, GridGenerator | PairGenerator):
        raise InputError(f"checkpoint: the {generator.name} generator predicts pixels; explain needs one with a grid")
    if not generator.takes_style:
        generator.check_style(style, content_mask, style_mask)
    elif style is not None:
        stylizer = copy(stylizer)  # so that the style of the caller's stylizer stays
        stylizer.set_style(style, style_mask)
    elif style_mask is not None:
        raise InputError("style_mask: given without a style photo")
    styles = stylizer.styles
    if generator.takes_style and len(styles) != 1:
        raise InputError(f"style: expected one style photo to explain, got {len(styles)}")
    pixels = open_image("content", content).pixels
    if len(pixels) != 1:
        raise InputError(f"content: expected one photo to explain, got a batch of {len(pixels)}")
    with usual_torch():
        thumbnail = resize_pixels(pixels[0], (generator.thumbnail, generator.thumbnail)).to(stylizer.device)
        mask = None
        if isinstance(generator, PairGenerator):
            masks = read_masks("content_mask", content_mask)
            (mask,) = place_masks(masks, styles, pixels, stylizer.device, generator.mask_side)
        preview = _preview(pixels[0])
        style_preview = None if not styles or styles[0].source is None else _preview(styles[0].source.photo[0])
        if isinstance(generator, UniversalGenerator):
            network, read, of_style = generator, generator.read(thumbnail, mask), styles[0].statistics
        elif isinstance(generator, FixedStyleGenerator):
            network, read, of_style = generator.universal, generator.universal.read(thumbnail), generator.style()
            style_preview = _place_colors(of_style)
        elif isinstance(generator, GridGenerator):
            seen = None if isinstance(generator, FittedGenerator) else thumbnail.cpu()
            grid = _to_cpu(generator.predict_grid(thumbnail))
            return Explanation(preview, seen, None, None, None, None, grid)
        else:
            raise InputError(f"checkpoint: its {generator.name} generator has no stages to explain")
        stages: GridStages = _to_cpu(network.predict_stages(read, of_style))
        return Explanation(
            preview=preview,
            thumbnail=read.thumbnail.cpu(),
            style_preview=style_preview,
            style_thumbnail=of_style.thumbnail.cpu() if of_style.thumbnail.numel() else None,
            stages=stages,
            style_regions=stages.style_regions if mask is None else _to_cpu(of_style.mask),
            grid=stages.grid,
            masked=mask is not None,
            names=SCENES if mask is None and network.arguments["scenes"] else (),
        )


def _preview(pixels: torch.Tensor) -> torch.Tensor:
    """Shrink pixels `(H, W, 3)` to an image `(1, 3, h, w)` in [0, 1] with at most `PREVIEW` pixels per side."""
    height, width = pixels.shape[:2]
    factor = min(1.0, PREVIEW / max(height, width))
    return resize_pixels(pixels, (max(1, round(height * factor)), max(1, round(width * factor)))).cpu()


def _place_colors(photo: PhotoStatistics) -> torch.Tensor:
    """Return the mean colour of each place of a photo, `(1, 3, 64, 64)` in [0, 1], from the photo's moments."""
    mean = photo.moments[:, 1:4].float().cpu()
    return torch.einsum("ij,bjhw->bihw", torch.tensor(FROM_OPPONENT), mean).clamp(0, 1)


def _to_cpu(value: Any) -> Any:
    """Move a tensor, or all tensors of nested NamedTuples and dicts, to the CPU as float32."""
    if isinstance(value, torch.Tensor):
        return value.detach().float().cpu()
    if isinstance(value, dict):
        return {name: _to_cpu(entry) for name, entry in value.items()}
    return value if value is None else type(value)(*map(_to_cpu, value))
