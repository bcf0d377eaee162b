"""Penalties of differences between neighbouring cells and of values outside [0, 1]."""

import torch

from lookcast.checks import check_shape


def grid_smoothness(grid: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference of neighbouring cells, summed over the three directions.

    Args:
        grid: `(B, 12, D, GH, GW)`.

    Returns:
        Scalar; 0 for a grid with one transform everywhere.

    Raises:
        ShapeError: not a grid.
    """
    check_shape("grid", grid, ("B", 12, "D", "GH", "GW"))
    terms = [grid.diff(dim=dim).square().mean() for dim in (2, 3, 4) if grid.shape[dim] > 1]
    return torch.stack(terms).sum() if terms else grid.new_zeros(())


def gamut_excess(image: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance of the values to [0, 1]; clamping would leave such pixels without a gradient.

    Args:
        image: `(B, 3, H, W)`, not clamped.

    Returns:
        Scalar.
    """
    return (image - image.clamp(0, 1)).square().mean()
