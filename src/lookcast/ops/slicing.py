"""Slicing by what the moment asks for: the reference and its kernels to compute, matrix products to export."""

import torch

from lookcast.ops import bilateral
from lookcast.ops.bilateral import COEFFICIENTS


def slice_apply(grid: torch.Tensor, guide: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """See `ops.bilateral.slice_apply`; while torch.export traces, `slice_apply_by_depth`."""
    if torch.compiler.is_exporting():
        return slice_apply_by_depth(grid, guide, image)
    return bilateral.slice_apply(grid, guide, image)


def slice_apply_by_depth(grid: torch.Tensor, guide: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """`ops.bilateral.slice_apply` in products and sums only, one graph for any batch, height and width.

    `a_ij = sum_d max(0, 1 - |g D - .5 - d|) a_ijd`: each coefficient's D planes are enlarged bilinearly, by a matrix
    product along either side, and weigh by how near the guide is to them. Every runtime has these operations; few have
    a grid sampler for all their devices. In ONNX Runtime and compiled by Inductor it is as fast as the reference.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        guide: `(B, 1, H, W)` in [0, 1].
        image: `(B, 3, H, W)`.

    Returns:
        `(B, 3, H, W)`, not clamped.
    """
    depth, grid_height, grid_width = grid.shape[-3:]
    height, width = image.shape[-2:]
    rows = _tent(height, grid_height, grid) @ grid.flatten(1, 2)
    columns = _tent(width, grid_width, grid).T
    position = (guide * depth - 0.5).clamp(0, depth - 1)
    weights = [(1 - (position - plane).abs()).clamp_min(0) for plane in range(depth)]
    # Coefficient after coefficient: all twelve in one operation would be 48 bytes a pixel for every step of it.
    planes = iter(torch.split(rows, 1, 1))
    coefficients = [sum((next(planes) @ columns) * weight for weight in weights) for _ in range(COEFFICIENTS)]
    red, green, blue = torch.split(image, 1, 1)
    channels = [
        coefficients[row] * red + coefficients[row + 1] * green + coefficients[row + 2] * blue + coefficients[row + 3]
        for row in (0, 4, 8)
    ]
    return torch.cat(channels, 1)


def _tent(size: int, cells: int, like: torch.Tensor) -> torch.Tensor:
    """`(size, cells)`: how much of each cell a pixel takes, linearly between the cells' centres."""
    pixels = torch.arange(size, device=like.device, dtype=like.dtype)
    position = ((pixels + 0.5) * cells / size - 0.5).clamp(0, cells - 1)
    centres = torch.arange(cells, device=like.device, dtype=like.dtype)
    return (1 - (position[:, None] - centres).abs()).clamp_min(0)
