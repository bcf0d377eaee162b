"""Prediction of bilateral grids from thumbnails, and their strength; stylization without a grid."""

from collections.abc import Sequence
from typing import Any

import torch

from lookcast.generators import Generator, GridGenerator, PairGenerator
from lookcast.inference.styles import EncodedStyle
from lookcast.ops.bilateral.reference import identity_grid


def predict_grid(
    generator: GridGenerator | PairGenerator,
    thumbnails: torch.Tensor,
    masks: Sequence[torch.Tensor | None],
    styles: Sequence[EncodedStyle],
) -> torch.Tensor:
    """Return the weighted mean of the grids of all styles.

    Args:
        generator: the network.
        thumbnails: thumbnails `(B, 3, S, S)` of the contents in [0, 1], in the size that the generator reads.
        masks: the content mask for each style, or None.
        styles: encoded styles; ignored by a generator with a fixed style.

    Returns:
        `(B, 12, D, GH, GW)`: 12 coefficients for each cell.
    """
    if isinstance(generator, GridGenerator):
        return generator.predict_grid(thumbnails)
    contents: dict[int, Any] = {}  # statistics of the content for each distinct content mask
    grids = []
    for mask, style in zip(masks, styles, strict=True):
        if id(mask) not in contents:
            contents[id(mask)] = generator.read(thumbnails, mask)
        grids.append(generator.predict_grid(contents[id(mask)], style.statistics) * style.weight)
    return torch.stack(grids).sum(0)


def blend_grid(grid: torch.Tensor, strength: float) -> torch.Tensor:
    """Blend a grid `(B, 12, D, GH, GW)` with the identity; at strength 1, the grid is unchanged.

    Except for the clamp, blending the grids equals blending the photos: the output is linear in the grid.
    """
    batch, _, depth, height, width = grid.shape
    return torch.lerp(identity_grid(batch, depth, height, width, grid.device), grid, strength)


def stylize_whole(generator: Generator, pixels: torch.Tensor, strength: float, device: torch.device) -> torch.Tensor:
    """Run a generator that predicts pixels instead of a grid. It computes at full resolution in float32.

    Args:
        generator: the network.
        pixels: see `Stylizer.stylize_pixels`.
        strength: see `Stylizer.stylize`.
        device: the device of the generator.

    Returns:
        Stylized pixels, with the shape, type and device of `pixels`.
    """
    levels = 1 if pixels.is_floating_point() else torch.iinfo(pixels.dtype).max
    content = pixels.permute(0, 3, 1, 2).to(device, torch.float32) / levels
    with torch.inference_mode():
        output = generator(content).image
    values = torch.lerp(content, output, strength).clamp(0, 1) * levels
    return (values if levels == 1 else values.round()).permute(0, 2, 3, 1).to(pixels)
