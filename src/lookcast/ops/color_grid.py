"""Fit of a grid with a single cell in the image plane, which recolours without regard to the place, to colour pairs."""

import torch

from lookcast.checks import check_floating, check_integer, check_shape
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.color import LUMA

_CHUNK = 1 << 16  # pairs whose 8 x 8 products are computed at once
_RIDGE = 1e-9  # pull towards the identity: keeps the fit unique for photos with few colours


def fit_color_grid(source: torch.Tensor, target: torch.Tensor, depth: int, gradient: float) -> torch.Tensor:
    """Fit a grid of 1 x 1 x D cells that maps source colours to target colours, by regularised least squares.

    With T_d the change of the affine transform at level d from the identity, the fit minimises

        mean_n |G(source_n) - target_n|^2 + gradient * D * sum_d |T_(d+1) - T_d|^2 + 1e-9 * sum_d |T_d|^2

    G slices the grid at the luma of the colour, as a generator does, but does not clamp the result. The sum over d is
    an integral over the guide, so one weight serves every depth. Levels without pairs take the transform of their
    neighbours. The solution is found directly, in float64.

    Args:
        source: source colours, `(N, 3)` RGB in [0, 1].
        target: target colours, `(N, 3)` RGB.
        depth: D, number of levels, from 1.
        gradient: weight of the differences between levels.

    Returns:
        `(1, 12, D, 1, 1)`, in the type of `source`.

    Raises:
        ShapeError: `source` or `target` is not `(N, 3)`.
        InputError: there are no pairs, the colours are no floating point, or the depth is out of range.
    """
    check_shape("source", source, ("N", 3))
    check_shape("target", target, (source.shape[0], 3))
    check_floating("source", source)
    check_floating("target", target)
    check_integer("depth", depth, 1, 1024)
    # Between two levels, a pair has eight unknowns for each channel: 3 + 1 coefficients of the level below and of the
    # level above. Gap g lies between the levels g - 1 and g; the outermost gaps have a single level.
    products = source.new_zeros(depth + 1, 64, dtype=torch.float64)
    sums = source.new_zeros(depth + 1, 24, dtype=torch.float64)
    for part in torch.split(torch.arange(len(source), device=source.device), _CHUNK):
        colors = source[part].double()
        position = (colors @ colors.new_tensor(LUMA)).clamp(0, 1) * depth - 0.5
        gap = position.floor()
        above = (position - gap)[:, None]
        padded = torch.cat([colors, torch.ones_like(colors[:, :1])], 1)
        row = torch.cat([(1 - above) * padded, above * padded], 1)
        number = gap.long() + 1
        products.index_add_(0, number, (row[:, :, None] * row[:, None]).flatten(1))
        sums.index_add_(0, number, (row[:, :, None] * (target[part].double() - colors)[:, None]).flatten(1))
    system = source.new_zeros(depth, 4, depth, 4, dtype=torch.float64)
    right = source.new_zeros(depth, 4, 3, dtype=torch.float64)
    for gap_number in range(depth + 1):
        levels = max(gap_number - 1, 0), min(gap_number, depth - 1)
        product, total = products[gap_number].view(2, 4, 2, 4), sums[gap_number].view(2, 4, 3)
        for i, first in enumerate(levels):
            right[first] += total[i] / len(source)
            for j, second in enumerate(levels):
                system[first, :, second] += product[i, :, j] / len(source)
    difference = torch.eye(depth, dtype=torch.float64, device=source.device).diff(dim=0)
    smooth = gradient * depth * difference.T @ difference + _RIDGE * torch.eye(depth).to(difference)
    matrix = system.view(4 * depth, 4 * depth) + torch.kron(smooth, torch.eye(4).to(smooth))
    change: torch.Tensor = torch.linalg.solve(matrix, right.view(4 * depth, 3)).view(depth, 4, 3)
    coefficients = change.permute(2, 1, 0).reshape(1, 12, depth, 1, 1)
    return identity_grid(1, depth, 1, 1).to(source) + coefficients.to(source)
