"""Pictures that explain a prediction: regions, the guide, slices of a grid, and what a stage added."""

import colorsys
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lookcast.ops.bilateral.reference import apply_affine
from lookcast.ops.color import LUMA, luma
from lookcast.ops.masks import NUM_LABELS, PALETTE

HUES = {"red": (1, 0, 0), "yellow": (1, 1, 0), "green": (0, 1, 0), "cyan": (0, 1, 1), "blue": (0, 0, 1)} | {
    "magenta": (1, 0, 1)
}
"""The sample colours beside grey, at their most saturated."""
MASK_COLORS = torch.tensor([rgb for _, rgb in PALETTE], device="cpu") / 255
"""The nine colours of mask files, `(9, 3)` in [0, 1]."""
_CHROMA = 0.35  # of a sample colour: strong enough to see the hue, inside the gamut at medium brightness


def region_colors(count: int, masked: bool, names: Sequence[str] = ()) -> tuple[list[str], torch.Tensor]:
    """Return the names and the colours of regions, `(K, 3)` in [0, 1].

    Masks in nine colours keep these colours. Other regions get colours of evenly spaced hues, and numbers if they have
    no names.
    """
    if masked and count == NUM_LABELS:
        return [name for name, _ in PALETTE], MASK_COLORS
    colors = [colorsys.hls_to_rgb(k / count, 0.5 if k % 2 else 0.62, 0.85) for k in range(count)]
    return list(names) or [f"region {k + 1}" for k in range(count)], torch.tensor(colors)


def overlay(image: torch.Tensor, mask: torch.Tensor, colors: torch.Tensor = MASK_COLORS) -> torch.Tensor:
    """Blend the grey version of a photo with the colours of its regions, half and half.

    Args:
        image: `(1, 3, H, W)` in [0, 1].
        mask: `(1, K, h, w)` in [0, 1], any size. A pixel of several regions gets the mix of their colours.
        colors: `(K, 3)` in [0, 1]; by default, the nine colours of mask files.

    Returns:
        `(1, 3, H, W)` in [0, 1].
    """
    tint = torch.einsum("kc,bkhw->bchw", colors.to(image), mask.to(image.dtype))
    if tint.shape[2:] != image.shape[2:]:
        tint = F.interpolate(tint, image.shape[2:], mode="bilinear")
    return 0.5 * image.mean(1, keepdim=True) + 0.5 * tint.clamp(0, 1)


def guide_picture(image: torch.Tensor) -> torch.Tensor:
    """Return the guide of an image `(1, 3, H, W)` as a grey image."""
    return luma(image).expand(-1, 3, -1, -1)


def grey_slices(grid: torch.Tensor) -> torch.Tensor:
    """Return the colour that each cell of a grid gives to the grey of the cell's own depth.

    Depth d serves the guide value (d + .5) / D exactly, so the grey of this value passes the transform of the cell.

    Args:
        grid: `(1, 12, D, GH, GW)`.

    Returns:
        `(D, 3, GH, GW)`, not clamped.
    """
    cells = grid[0].transpose(0, 1)  # (D, 12, GH, GW)
    depth = cells.shape[0]
    grey = ((torch.arange(depth) + 0.5) / depth).view(-1, 1, 1, 1).expand(-1, 3, *cells.shape[2:])
    return apply_affine(cells, grey)


def sample_colors(depth: int) -> torch.Tensor:
    """Return sample colours for each depth of a grid, `(D, 7, 3)` in [0, 1]: grey, then `HUES`.

    All colours of a depth have the guide value of this depth, (d + .5) / D, so each passes the transform at this depth.
    """
    greys = (torch.arange(depth) + 0.5) / depth
    weights = torch.tensor(LUMA)
    directions = torch.tensor([(0.0, 0.0, 0.0), *HUES.values()])
    directions = directions - (directions @ weights)[:, None]  # without luma
    base = greys.view(-1, 1, 1).expand(-1, len(directions), 1)
    # The largest step that keeps all three channels in [0, 1].
    room = torch.where(directions > 0, 1 - base, base) / directions.abs().clamp_min(1e-6)
    return base + directions * room.amin(-1, keepdim=True).clamp_max(_CHROMA)


def change_picture(before: torch.Tensor, after: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Draw the change from one image to another around medium grey: `.5 + gain * (after - before)`.

    Returns:
        The picture, clamped to [0, 1], and the gain: the power of two from 1 to 16 with which 98 % of the values fit.
    """
    change = after - before
    largest = float(torch.quantile(change.abs().flatten()[:: max(1, change.numel() // 100_000)], 0.98))
    gain = 2 ** max(0, min(4, math.floor(math.log2(0.5 / max(largest, 1e-6)))))
    return (0.5 + gain * change).clamp(0, 1), gain
