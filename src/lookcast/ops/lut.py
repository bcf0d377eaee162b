"""Three-dimensional colour lookup tables: trilinear lookup, and a fit of a table to pairs of colours."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from lookcast.checks import InputError, check_floating, check_image, check_shape
from lookcast.ops.color import LUMA
from lookcast.ops.precision import full_type

_CORNERS = tuple((blue, green, red) for blue in (0, 1) for green in (0, 1) for red in (0, 1))
_COARSEST = 9  # the fit starts with a table of about this size
_COARSE = 17  # size of the largest table that is solved up to the tolerance
_TOLERANCE = 1e-6  # relative tolerance of the residual: errors of .002 in 8-bit levels
_FINE_STEPS = 50  # steps for finer tables: colours far from any pair converge slowly, but the coarse table fits them


class _Pairs(NamedTuple):
    """Sums over pairs of colours, divided by the number of pairs, for the normal equations of the fit.

    A pair is a source colour and its change. C is the number of table cells that contain source colours. A node is an
    entry of the table, and S is the number of nodes per side.

    Attributes:
        nodes: indices of the eight corner nodes of each cell, `(C, 8)`.
        products: `(C, 8, 8)`: for every two corners of a cell, the sum of the products of their trilinear weights.
        sums: `(S^3, 3)`: for every node, the sum of the trilinear weight times the colour change.
    """

    nodes: torch.Tensor
    products: torch.Tensor
    sums: torch.Tensor

    def diagonal(self) -> torch.Tensor:
        """Return the diagonal of the normal equations without regularisation, `(S^3,)`.

        The entry of a node is the sum of the squared trilinear weights of the pairs.
        """
        squares = self.products.diagonal(dim1=1, dim2=2).flatten()
        return self.sums.new_zeros(len(self.sums)).index_add_(0, self.nodes.flatten(), squares)


def identity_lut(size: int, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> torch.Tensor:
    """Return the table that maps every colour to itself: `(S, S, S, 3)`, indexed by blue, green, red."""
    steps = torch.linspace(0, 1, size, dtype=dtype, device=device)
    return torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")[::-1], -1)


def apply_lut(lut: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Look up every pixel in a table by trilinear interpolation.

    Args:
        lut: new RGB values, `(S, S, S, 3)`, indexed by blue, green and red from 0 to 1.
        image: `(B, 3, H, W)`; values outside [0, 1] are clamped.

    Returns:
        `(B, 3, H, W)`.

    Raises:
        ShapeError: `lut` or `image` has the wrong shape.

    Example:
        >>> image = torch.rand(1, 3, 4, 5)
        >>> torch.allclose(apply_lut(identity_lut(17), image), image, atol=1e-6)
        True
    """
    check_image("image", image)
    check_shape("lut", lut, (lut.shape[0], lut.shape[0], lut.shape[0], 3))
    volume = lut.permute(3, 0, 1, 2).expand(image.shape[0], -1, -1, -1, -1)
    positions = (2 * image - 1).permute(0, 2, 3, 1)[:, None]
    return F.grid_sample(volume, positions, padding_mode="border", align_corners=True)[:, :, 0]


def fit_lut(
    source: torch.Tensor,
    target: torch.Tensor,
    size: int = 33,
    gradient: float = 1e-3,
    bending: float = 3e-4,
    clamp: bool = True,
) -> torch.Tensor:
    """Fit a table that maps source colours to target colours, by regularised least squares.

    With D = table - identity, the fit minimises

        mean_n |D(source_n) - (target_n - source_n)|^2 + gradient * int |D'|^2 + bending * int |D''|^2

    Here, `int` is the integral over the colour cube. D' and D'' are the first and second derivatives along the axes of
    the cube, computed as differences. A colour without pairs near it takes the change of the nearest pairs. Up to a
    distance of about `sqrt(bending / gradient)` from the pairs, `bending` continues the linear trend of the changes. At
    larger distances, `gradient` makes the change level off. The integrals do not depend on the size, so the weights fit
    every size.

    Averaging the pairs of several photos may give a grey a lower luma than a darker grey. The fit then gives the two
    greys the same luma. The solver uses conjugate gradients on one CPU core and never builds the matrix. It solves for
    coarse tables first, then for fine tables.

    Args:
        source: source colours, `(N, 3)` RGB in [0, 1].
        target: target colours, `(N, 3)` RGB.
        size: S, number of steps per side, at least 2.
        gradient: weight of the first derivatives.
        bending: weight of the second derivatives.
        clamp: whether to clamp the table to [0, 1].

    Returns:
        `(S, S, S, 3)` in the format of `apply_lut`, float32 at least.

    Raises:
        ShapeError: `source` or `target` is not `(N, 3)`.
        InputError: there are no pairs, the colours are no floating point, or the size is below 2.
    """
    check_shape("source", source, ("N", 3))
    check_shape("target", target, (source.shape[0], 3))
    check_floating("source", source)
    check_floating("target", target)
    if size < 2:
        raise InputError(f"size: expected 2 or more, got {size}")
    dtype, device = full_type(source, target), source.device
    source, target = source.to("cpu", dtype), target.to("cpu", dtype)
    sizes = [size]
    while sizes[0] > _COARSEST and sizes[0] % 2:
        sizes.insert(0, (sizes[0] + 1) // 2)
    change = source.new_zeros(1, 3, sizes[0], sizes[0], sizes[0])
    for side in sizes:
        change = F.interpolate(change, (side, side, side), mode="trilinear", align_corners=True)
        table = change[0].flatten(1).T.contiguous()
        pairs = _by_cell(source, target - source, side)
        table = _solve(pairs, table, side, gradient, bending)
        change = table.T.view(1, 3, side, side, side)
    table = _solve(_with_rising_greys(pairs, table, size), table, size, gradient, bending)
    lut = (identity_lut(size, source.dtype) + table.view(size, size, size, 3)).to(device)
    return lut.clamp(0, 1) if clamp else lut


def _by_cell(source: torch.Tensor, change: torch.Tensor, size: int) -> _Pairs:
    from lookcast.ops import lut_solver  # imported here, because numba takes .5 s to import

    position = source.clamp(0, 1) * (size - 1)
    corner = position.floor().clamp_max(size - 2)
    along = position - corner
    base = ((corner[:, 2] * size + corner[:, 1]) * size + corner[:, 0]).long()
    cells, member = torch.unique(base, return_inverse=True)
    offsets = torch.tensor([(blue * size + green) * size + red for blue, green, red in _CORNERS])
    nodes = cells[:, None] + offsets
    shape = len(cells), 8
    products, by_corner = (torch.zeros(*shape, count, dtype=torch.float64) for count in (8, 3))
    lut_solver.add_pairs(*(x.numpy() for x in (along, change, member, products, by_corner)))
    products, by_corner = ((x / len(source)).to(source.dtype) for x in (products, by_corner))
    sums = source.new_zeros(size**3, 3).index_add_(0, nodes.flatten(), by_corner.flatten(0, 1))
    return _Pairs(nodes, products, sums)


def _with_rising_greys(pairs: _Pairs, table: torch.Tensor, size: int) -> _Pairs:
    """Add pairs that make the luma of the greys rise in a table of changes `(S^3, 3)`.

    The table may give a grey a lower luma than a darker grey. For each of these greys, the function adds a pair that
    moves the luma to the nearest non-decreasing ramp.
    """
    steps = torch.linspace(0, 1, size, dtype=table.dtype, device=table.device)
    greys = torch.arange(size, device=table.device) * (size * size + size + 1)
    luma = (table[greys] + steps[:, None]).clamp(0, 1) @ table.new_tensor(LUMA)
    # The weight of a grey is its entry of the diagonal. A grey without pairs has a small weight.
    rising = _isotonic(luma, pairs.diagonal()[greys] + 1e-6)
    moved = (rising - luma).abs() > 1e-6
    greys, lift = greys[moved], (rising - luma)[moved]
    one = table.new_zeros(len(greys), 8, 8)
    one[:, 0, 0] = 1  # as much weight as all pairs of the fit together
    nodes, products = torch.cat([pairs.nodes, greys[:, None].expand(-1, 8)]), torch.cat([pairs.products, one])
    return _Pairs(nodes, products, pairs.sums.index_add(0, greys, table[greys] + lift[:, None]))


def _isotonic(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the non-decreasing sequence `(N,)` that is nearest to the values in weighted least squares.

    Its entry k is `max_(i <= k) min_(j >= k) mean(values[i..j])`, with weighted means.
    """
    start = weights.new_zeros(1)
    mass, sums = (torch.cat([start, x.cumsum(0)]) for x in (weights, weights * values))
    means = (sums[None, 1:] - sums[:-1, None]) / (mass[None, 1:] - mass[:-1, None])  # (i, j)
    means = means.masked_fill(torch.ones_like(means).tril(-1).bool(), torch.inf)
    minima = means.flip(1).cummin(1).values.flip(1)  # (i, k)
    return minima.masked_fill(torch.ones_like(minima).tril(-1).bool(), -torch.inf).amax(0)


def _solve(pairs: _Pairs, start: torch.Tensor, size: int, gradient: float, bending: float) -> torch.Tensor:
    """Solve for the change of the table `(S^3, 3)`; see `lut_solver.solve`."""
    from lookcast.ops import lut_solver

    step = 1 / (size - 1)
    # int |D'|^2 is the sum of (difference / step)^2 step^3.
    # int |D''|^2 is the sum of (second difference / step^2)^2 step^3.
    slope, curve = gradient * step, bending / step
    # Away from the borders of the cube, the squared difference filters of the three axes add 6 and 18 to the diagonal.
    diagonal = pairs.diagonal() + 6 * slope + 18 * curve
    channels, sums = start.T.contiguous(), pairs.sums.T.contiguous()
    arrays = [x.numpy() for x in (pairs.nodes, pairs.products, sums, diagonal)]
    number = arrays[3].dtype.type  # numba would compute with the precision of Python's numbers
    steps = len(start) if size <= _COARSE else _FINE_STEPS
    lut_solver.solve(*arrays, size, number(slope), number(curve), number(_TOLERANCE), steps, channels.numpy())
    return channels.T.contiguous()
