"""A correction of a predicted grid by least squares: colours closer to the style, and no halos."""

import math

import torch
from torch import nn

from lookcast.generators.statistics import PLACES, PhotoStatistics
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid, tent_matrix
from lookcast.ops.precision import full_precision, no_autocast
from lookcast.ops.transport import color_moments, from_opponent, knothe_rosenblatt

WINDOW = 9
"""Side of the windows of E, in places."""
RIDGE = 1e-4
"""Weight of the squared slopes in E."""
DAMPING = 0.1
"""Weight of the distance from the predicted grid."""
FLAT = 0.01
"""Variance that is added to those of content and style before they are matched. It keeps flat regions flat."""
FEW = 0.01
"""Share of a photo at which a region gets half of its wanted change."""
TINY = 1e-9
"""Number that keeps the quotients of the conjugate gradients finite, if there is nothing left to change."""


class LeastSquaresStep(nn.Module):
    """Module that moves a predicted grid towards the minimum of a sum of squares.

    `J(h) = |S h - S h_0 - u|^2 + w E(S h) + .1 |h - h_0|^2`. h is a grid minus the identity, and h_0 is the predicted
    grid minus the identity. `S h` is the change that the grid makes to the colours of 64 x 64 places of the content.

    * u is the change that is still missing: it gives each region of the output the mean and the covariance that its
      region has in the style (`knothe_rosenblatt`). The network predicts for each cell which share of it is wanted.
    * E is large for halos and stains, which are not locally affine. In each window of 9 x 9 places, an affine map of
      the content's colours approximates the change. E is the sum over the windows of the mean squared residual plus
      1e-4 times the squared slopes of the map. The weight w is trained. It has one value for photos with masks and one
      for photos without masks.
    * The last term keeps the cells of the grid that no place uses.

    All terms are quadratic. A few steps of the conjugate gradient method decrease J. They start at h_0 and are
    preconditioned by the diagonal of `S^T S`. If the content is its own style and h_0 is 0, the correction is 0, up to
    rounding.

    Args:
        channels: number of channels of the generator's residual blocks.
        steps: number of steps of the conjugate gradient method.

    Reference:
        Levin et al., PAMI 2008 (the energy, there for an image and windows of 3x3 pixels); Hestenes and Stiefel, 1952.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.share = nn.Conv2d(channels, 1, 1, bias=False)
        nn.init.zeros_(self.share.weight)
        # In both, entry 0 is for photos with masks, and entry 1 for photos without masks. Without masks, some matches
        # are wrong, so the share is smaller: .1 instead of .6. The values were chosen on held-out photos.
        self.share_bias = nn.Parameter(torch.tensor([0.5, -2.1], device="cpu"))
        self.log_weight = nn.Parameter(torch.tensor([math.log(2.8), math.log(3.4)], device="cpu"))

    def forward(
        self,
        grid: torch.Tensor,
        photos: tuple[PhotoStatistics, PhotoStatistics],
        masks: tuple[torch.Tensor, torch.Tensor],
        hidden: torch.Tensor,
    ) -> torch.Tensor:
        """Return the correction of a grid.

        Args:
            grid: `(B, 12, D, 16, 16)`.
            photos: the statistics of the content and of the style.
            masks: the regions of the content, `(B, K, 64, 64)`, and of the style, `(1 or B, K, 64, 64)`.
            hidden: output of the residual blocks, `(B, C, 16, 16)`.

        Returns:
            `(B, 12, D, 16, 16)`.
        """
        kind = 0 if photos[0].mask is not None else 1
        share = (full_precision(self.share(hidden)) + self.share_bias[kind]).sigmoid()
        with no_autocast(grid):
            content, style = (from_opponent(photo.moments[:, 1:4]) for photo in photos)
            problem = LeastSquares(content, photos[0].shares, grid.shape[-1])
            change = problem.change(grid - identity_grid(1, 1, 1, 1, grid.device, grid.dtype))
            output = (content + change).clamp(0, 1)
            wanted = (matched(output, style, masks).clamp(0, 1) - output) * problem.enlarge(share)
            weight = self.log_weight[kind].exp()
            return problem.solve(problem.gather(wanted - weight * problem.residual(change)), weight, self.steps)


class LeastSquares:
    """The linear maps of `LeastSquaresStep` for a content.

    Args:
        content: mean colour of each place, `(B, 3, 64, 64)`.
        shares: for each place, the share of its pixels in each of the D luma steps, `(B, D, 64, 64)`.
        cells: number of cells per side of the grid.
    """

    def __init__(self, content: torch.Tensor, shares: torch.Tensor, cells: int) -> None:
        self._size = (shares.shape[1], cells, cells)
        self._weights = tent_matrix(PLACES, cells, content)  # from places to cells, along y and along x
        # The colour of a place is linear in the grid. These are the factors of the 4 D coefficients of a channel.
        terms = torch.cat([content, torch.ones_like(content[:, :1])], 1)
        self._factors = (terms[:, :, None] * shares[:, None]).flatten(1, 2)
        places = torch.arange(PLACES, device=content.device)
        offset = places - places[: PLACES - WINDOW + 1, None]
        self._window = ((offset >= 0) & (offset < WINDOW)).to(content) / WINDOW  # (56, 64): means along an axis
        # The number of windows that contain a place, divided by the size of a window.
        count = self._window.sum(0)
        self._count = count[:, None] * count
        self._content = content - 0.5  # near 0, the difference of mean squares and squared means has more digits
        means = self._means(torch.cat([self._content, _products(self._content, self._content)], 1))
        self._mean = means[:, :3]
        self._inverse = inverse_with_ridge(_matrices(means[:, 3:] - _products(self._mean, self._mean)), RIDGE)

    def enlarge(self, cells: torch.Tensor) -> torch.Tensor:
        """Interpolate values of the cells at the places: `(B, C, 16, 16)` becomes `(B, C, 64, 64)`."""
        return self._weights @ cells @ self._weights.T

    def change(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return S h: the change of the colours, `(B, 3, 64, 64)`, by a grid of changes, `(B, 12, D, 16, 16)`."""
        planes = self.enlarge(coefficients.reshape(-1, 3, 4 * self._size[0], *self._size[1:]))
        return (planes * self._factors[:, None]).sum(2)

    def gather(self, colors: torch.Tensor) -> torch.Tensor:
        """Return S^T of colours `(B, 3, 64, 64)`: `(B, 12, D, 16, 16)`."""
        sums = self._weights.T @ (colors[:, :, None] * self._factors[:, None]) @ self._weights
        return sums.reshape(-1, COEFFICIENTS, *self._size)

    def residual(self, change: torch.Tensor) -> torch.Tensor:
        """Return half the gradient of E with respect to the change, `(B, 3, 64, 64)`."""
        means = self._means(torch.cat([change, _products(self._content, change)], 1))
        mean = means[:, :3]
        shared = _matrices(means[:, 3:] - _products(self._mean, mean))
        slopes = (self._inverse[:, :, :, None] * shared[:, None]).sum(2)  # (B, 3 of content, 3, 56, 56)
        offset = mean - (slopes * self._mean[:, :, None]).sum(1)
        sums = self._window.T @ torch.cat([slopes.flatten(1, 2), offset], 1) @ self._window
        affine = (_matrices(sums[:, :9]) * self._content[:, :, None]).sum(1) + sums[:, 9:]
        return self._count * change - affine

    def solve(self, residual: torch.Tensor, weight: torch.Tensor, steps: int) -> torch.Tensor:
        """Return the change of the grid after some steps of the conjugate gradient method.

        Args:
            residual: half the negative gradient of J at the start, `(B, 12, D, 16, 16)`.
            weight: the weight of E.
            steps: number of steps.
        """
        squares = self._weights.square()
        diagonal = squares.T @ self._factors.square() @ squares + DAMPING
        diagonal = diagonal.reshape(-1, 1, 4, *self._size).expand(-1, 3, -1, -1, -1, -1).flatten(1, 2)
        found = torch.zeros_like(residual)
        direction, before = found, None
        for _ in range(steps):
            scaled = residual / diagonal
            product = (residual * scaled).sum((1, 2, 3, 4), keepdim=True)
            direction = scaled if before is None else scaled + product / (before + TINY) * direction
            change = self.change(direction)
            curvature = self.gather(change + weight * self.residual(change)) + DAMPING * direction
            length = product / ((direction * curvature).sum((1, 2, 3, 4), keepdim=True) + TINY)
            found = found + length * direction
            residual, before = residual - length * curvature, product
        return found

    def _means(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the means of the windows that lie inside, `(B, C, 56, 56)`."""
        means: torch.Tensor = self._window @ planes @ self._window.T
        return means


def _products(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the products of all channels of two images, `(B, 9, h, w)`; the channels of the second vary fastest."""
    return (first[:, :, None] * second[:, None]).flatten(1, 2)


def _matrices(planes: torch.Tensor) -> torch.Tensor:
    """Return planes `(B, 9, h, w)` as 3x3 matrices, `(B, 3, 3, h, w)`."""
    return planes.reshape(-1, 3, 3, *planes.shape[2:])


def inverse_with_ridge(covariance: torch.Tensor, ridge: float) -> torch.Tensor:
    """Return the inverse of covariances `(B, 3, 3, ...)` plus `ridge` times the identity, in the same shape.

    Cofactors take a fifth of the operations of a Cholesky factor. They lose digits, so they need float64, which MPS
    devices lack.
    """
    wide = covariance.dtype if covariance.device.type == "mps" else torch.float64
    identity = torch.eye(3, dtype=wide, device=covariance.device).view(3, 3, *[1] * (covariance.ndim - 3))
    matrix = covariance.to(wide) + ridge * identity
    # Row i of the cofactors is the product of rows i + 1 and i + 2.
    cofactors = torch.linalg.cross(matrix.roll(-1, 1), matrix.roll(-2, 1), dim=2)
    # Without rounding, the determinant would be at least the cube of the ridge.
    determinant = (matrix[:, :1] * cofactors[:, :1]).sum(2, keepdim=True).clamp_min(ridge**3)
    inverse: torch.Tensor = cofactors / determinant
    return inverse.to(covariance)


def matched(output: torch.Tensor, style: torch.Tensor, masks: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return an output in which each region has the mean and about the covariance of its region in the style.

    Args:
        output: `(B, 3, 64, 64)`.
        style: `(1 or B, 3, 64, 64)`.
        masks: see `LeastSquaresStep.forward`.

    Returns:
        `(B, 3, 64, 64)`, not clamped. A flat region gains less contrast (`FLAT`), and a region that covers little of a
        photo changes less (`FEW`).
    """
    # Both photos at once, because each operation costs time even if there is little to compute.
    both = [torch.stack(torch.broadcast_tensors(*pair)) for pair in (masks, (output, style))]  # type: ignore[no-untyped-call]
    places, colors = (pair.flatten(0, 1) for pair in both)
    moments = places.flatten(2) @ color_moments(colors).flatten(2).transpose(1, 2) / PLACES**2
    own, wanted = moments.view(2, -1, *moments.shape[1:]).unbind()  # (B, K, 10)
    maps = knothe_rosenblatt(own, wanted, torch.full_like(own[0, 0, :3], FLAT))  # (B, K, 12)
    trust = [mass / (mass + FEW) for mass in (own[..., :1], wanted[..., :1])]
    change = (maps - identity_grid(1, 1, 1, 1, maps.device, maps.dtype).view(-1)) * trust[0] * trust[1]
    mixed = (change.transpose(1, 2) @ masks[0].flatten(2)).view(-1, 3, 4, PLACES, PLACES)
    return output + (mixed[:, :, :3] * output[:, None]).sum(2) + mixed[:, :, 3]
