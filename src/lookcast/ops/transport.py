"""Transfer of colours from one photo to another by an affine map in closed form."""

from functools import cache

import torch

from lookcast.checks import ShapeError, check_floating, check_image
from lookcast.ops.cholesky import Lower, cholesky_3x3
from lookcast.ops.precision import no_autocast

# Rows: luma and two opponent axes, in the order in which `knothe_rosenblatt` maps the axes.
TO_OPPONENT = ((0.299, 0.587, 0.114), (0.5, 0.0, -0.5), (-0.25, 0.5, -0.25))
FROM_OPPONENT = ((1.0, 0.815, -1.174), (1.0, -0.185, 0.826), (1.0, -1.185, -1.174))
NUM_MOMENTS = 10
"""Number of colour moments: the constant 1, the means of the three opponent axes, and six second moments. The second
moments belong to the pairs of axes 00, 01, 02, 11, 12 and 22."""


def color_moments(image: torch.Tensor) -> torch.Tensor:
    """Convert each pixel to opponent colours and return all monomials of the components up to degree two.

    The averages of these monomials over pixels are the colour moments.

    Args:
        image: `(B, 3, H, W)` RGB in [0, 1].

    Returns:
        `(B, 10, H, W)`: 1, the three opponent components (luma first), and the six products of two components.

    Raises:
        ShapeError: `image` has another shape.
        InputError: `image` is empty or not floating point.
    """
    check_image("image", image)
    with no_autocast(image):
        color = (_bases(image.dtype, image.device)[0] @ image.flatten(2)).view_as(image)
    products = [color[:, i : i + 1] * color[:, i:] for i in range(3)]  # the order of the docstring
    return torch.cat([torch.ones_like(color[:, :1]), color, *products], 1)


def from_opponent(color: torch.Tensor) -> torch.Tensor:
    """Convert opponent colours to RGB, the inverse of the first degree of `color_moments`.

    Args:
        color: `(B, 3, H, W)`: luma, then the two opponent components.

    Returns:
        `(B, 3, H, W)`.
    """
    check_image("color", color)
    with no_autocast(color):
        return (_bases(color.dtype, color.device)[1] @ color.flatten(2)).view_as(color)


def second_moments(moments: torch.Tensor) -> torch.Tensor:
    """Convert colour moments to the second moments of the vectors (red, green, blue, 1).

    Args:
        moments: averages of `color_moments`, `(B, 10, N)`; the weights need not sum to 1.

    Returns:
        `(B, 16, N)`: the symmetric 4x4 matrices, row-major, for weights that sum to 1.

    Raises:
        ShapeError: `moments` has another shape.
        InputError: `moments` is empty or not floating point.
    """
    if moments.ndim != 3 or moments.shape[1] != NUM_MOMENTS:
        raise ShapeError("moments", f"(B, {NUM_MOMENTS}, N)", moments.shape)
    check_floating("moments", moments)
    with no_autocast(moments):
        scaled = moments / moments[:, :1].clamp_min(1e-8)
        return _bases(moments.dtype, moments.device)[3] @ scaled


def knothe_rosenblatt(content: torch.Tensor, style: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    """Return the affine RGB map that gives the content's colours the mean and covariance of the style's colours.

    `A = M^-1 L_s L_c^-1 M` and `b = mean_s - A mean_c`. M is the opponent basis. L_c and L_s are the Cholesky factors
    of the covariances of content and style in the opponent basis. This map is the Knothe-Rosenblatt transport between
    two Gaussians. The new luma depends only on the old luma. The new first opponent component depends on the old luma
    and the old first component. The new second component depends on all three old components. A grey content pixel
    therefore gets the chroma that the style has at the new luma of the pixel.

    Unlike the Monge-Kantorovich map, this map needs no matrix square root. Its gradient therefore exists everywhere,
    and its cost is a few products. On photos, the two maps reach similar metrics. If the moments of content and style
    are equal, the map is the identity, up to rounding.

    Args:
        content: averages of `color_moments` over the content, `(..., 10)`; the weights need not sum to 1.
        style: averages of `color_moments` over the style, `(..., 10)`; the weights need not sum to 1.
        floor: `(3,)`: for each opponent axis, a number that is added to the variance of the axis given the previous
            axes, for content and style. This number limits the gain in flat regions.

    Returns:
        `(..., 12)`: the 3x4 matrix (A, b), row-major.

    Raises:
        ShapeError: the last dimension of `content` or `style` is not 10.
        InputError: `content` or `style` is empty or not floating point.

    Reference:
        Pitié and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer",
        CVMP 2007 (compares the two maps).
    """
    for name, moments in (("content", content), ("style", style)):
        if moments.shape[-1] != NUM_MOMENTS:
            raise ShapeError(name, f"(..., {NUM_MOMENTS})", moments.shape)
        check_floating(name, moments)
    _, inverse, change_of_basis, _ = _bases(content.dtype, content.device)
    # Both at once, because each operation costs time even if there is little to compute.
    both = torch.broadcast_tensors(content, style)  # type: ignore[no-untyped-call]
    mean, factor = _mean_and_factor(torch.stack(both), floor)
    mean_c, mean_s = mean.unbind()
    (c00, c10, c11, c20, c21, c22), (s00, s10, s11, s20, s21, s22) = torch.stack(factor).unbind(1)
    i00, i11, i22 = (1 / torch.stack([c00, c11, c22])).unbind()
    i10, i21 = -c10 * i00 * i11, -c21 * i11 * i22
    i20 = (c10 * c21 - c11 * c20) * i00 * i11 * i22
    zero = torch.zeros_like(c00)
    factor_s = torch.stack([s00, zero, zero, s10, s11, zero, s20, s21, s22], -1)
    inverse_c = torch.stack([i00, zero, zero, i10, i11, zero, i20, i21, i22], -1)
    size = (*zero.shape, 3, 3)
    # A sum of products of entries, because `@` would run as a million tiny products.
    triangular = (factor_s.reshape(size)[..., None] * inverse_c.reshape(size)[..., None, :, :]).sum(-2)
    offset = mean_s - (triangular * mean_c[..., None, :]).sum(-1)
    # M^-1 T M for all T at once: one product by a 9x9 matrix is faster than a million products by 3x3 matrices.
    matrix = triangular.flatten(-2) @ change_of_basis
    return torch.cat([matrix.reshape(*matrix.shape[:-1], 3, 3), (offset @ inverse.T)[..., None]], -1).flatten(-2)


def _bases(dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return the matrix M, its inverse, and two matrices.

    The first, 9x9, turns a flattened T into a flattened `M^-1 T M`. The second, 16x10, turns colour moments into a
    flattened matrix of second moments; see `second_moments`.
    """
    # A compiler makes constants of them, and its placeholders for tensors must not get into the cache.
    make = _bases_on.__wrapped__ if torch.compiler.is_compiling() else _bases_on
    return make(dtype, device)


@cache
def _bases_on(dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Make the matrices of `_bases`. They are kept, because a CUDA graph can't record a copy from the CPU."""
    with torch.inference_mode(False):  # training may use them after inference has
        basis, inverse = (torch.tensor(rows, dtype=dtype, device="cpu") for rows in (TO_OPPONENT, FROM_OPPONENT))
        of_change = torch.kron(inverse.T.contiguous(), basis)
        wide = torch.eye(4, dtype=dtype, device="cpu")
        wide[:3, :3] = inverse
        # The moment that each entry of the 4x4 matrix in the opponent basis is equal to.
        index = torch.tensor([4, 5, 6, 1, 5, 7, 8, 2, 6, 8, 9, 3, 1, 2, 3, 0], device="cpu")
        of_moments = torch.zeros(16, NUM_MOMENTS, dtype=dtype, device="cpu").index_add(1, index, torch.kron(wide, wide))
        return tuple(matrix.to(device) for matrix in (basis, inverse, of_change, of_moments))


def _mean_and_factor(moments: torch.Tensor, floor: torch.Tensor) -> tuple[torch.Tensor, Lower]:
    """Convert moments `(..., 10)` to the mean `(..., 3)` and the Cholesky factor of the covariance."""
    scaled = moments[..., 1:] / moments[..., :1].clamp_min(1e-8)
    mean = scaled[..., :3]
    first = torch.cat([mean[..., :1].expand_as(mean), mean[..., 1:2], mean[..., 1:]], -1)
    second = torch.cat([mean, mean[..., 1:], mean[..., 2:]], -1)
    v00, v01, v02, v11, v12, v22 = (scaled[..., 3:] - first * second).unbind(-1)
    minimum = floor.to(moments.dtype)
    # Rounding may make a variance negative, or the conditional variance of an axis given the previous axes.
    factor = cholesky_3x3((v00, v01, v11, v02, v12, v22), lambda square, row: square.clamp_min(0) + minimum[row])
    return mean, factor
