"""Penalties for differences between neighbouring cells of a bilateral grid, and for image values outside [0, 1]."""

import torch

from lookcast.checks import check_floating, check_shape
from lookcast.ops.precision import full_precision


def grid_smoothness(grid: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference between neighbouring cells, summed over the grid's axes D, GH and GW.

    Args:
        grid: `(B, 12, D, GH, GW)`, 12 coefficients of an affine colour transform for each cell.

    Returns:
        Scalar; 0 for a grid with the same transform in every cell.

    Raises:
        ShapeError: `grid` is not a bilateral grid.
        InputError: `grid` is empty or not floating point.
    """
    check_shape("grid", grid, ("B", 12, "D", "GH", "GW"))
    check_floating("grid", grid)
    grid = full_precision(grid)
    terms = [grid.diff(dim=dim).square().mean() for dim in (2, 3, 4) if grid.shape[dim] > 1]
    return torch.stack(terms).sum() if terms else grid.new_zeros(())


def gamut_excess(image: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance of the values from the range [0, 1].

    Terms that clamp the image give no gradient to values outside [0, 1]. This penalty gives them a gradient.

    Args:
        image: `(B, 3, H, W)`, not clamped.

    Returns:
        Scalar.

    Raises:
        InputError: `image` is empty or not floating point.
    """
    check_floating("image", image)
    image = full_precision(image)
    return (image - image.clamp(0, 1)).square().mean()
