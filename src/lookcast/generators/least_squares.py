"""A last correction of a predicted grid, by least squares: locally affine changes, and the colours of the style."""

import math

import torch
from torch import nn

from lookcast.generators.statistics import PLACES, PhotoStatistics, depth_shares
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid, tent_matrix
from lookcast.ops.color import luma
from lookcast.ops.precision import full_precision, no_autocast
from lookcast.ops.transport import color_moments, from_opponent, knothe_rosenblatt

WINDOW = 9
"""Side of the windows of the affine residual, in places."""
RIDGE = 1e-4
"""Number that is added to the variances of the content in each window. It limits the slopes in flat windows."""
DAMPING = 0.1
"""Weight of the distance from the predicted grid."""
FEW = 0.01
"""Share of a region in the photo that halves the distance to its wanted colours."""
TINY = 1e-9
"""Number that keeps the quotients of the conjugate gradients finite, if there is nothing left to change."""


class LeastSquaresStep(nn.Module):
    r"""Module that moves a predicted grid towards the minimum of a sum of squares.

    `J(h) = |S h - S h_0 - u|^2 + w E(S h) + .1 |h - h_0|^2`. h is a grid minus the identity, and h_0 is the predicted
    grid minus the identity. `S h` is the change that the grid makes to the colours of 64 x 64 places of the content.

    * u is the change that is still missing: it gives each region of the output the mean and the covariance that its
      region has in the style (`knothe_rosenblatt`). The network predicts for each cell which share of it is wanted.
    * E is large for halos and stains, which are not locally affine: in each window of 9 x 9 places, the best affine map
      of the content's colours approximates the change, and E is the sum of the mean squared residuals. The weight w is
      trained. It has one value for photos with masks and one for photos without masks.
    * The last term keeps the cells of the grid that no place uses.

    All terms are quadratic. A few steps of the conjugate gradient method decrease J. They start at h_0 and are
    preconditioned by the diagonal of `S^T S`. If the content is its own style, the correction is 0, up to rounding.

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
        # Entry 0 holds with masks, entry 1 without.
        self.start = nn.Parameter(torch.tensor([-0.8, -2.0], device="cpu"))
        self.weight = nn.Parameter(torch.full((2,), math.log(1.5), device="cpu"))

    def forward(
        self,
        grid: torch.Tensor,
        photos: tuple[PhotoStatistics, PhotoStatistics],
        masks: tuple[torch.Tensor, torch.Tensor],
        hidden: torch.Tensor,
        floor: torch.Tensor,
    ) -> torch.Tensor:
        """Return the correction of a grid.

        Args:
            grid: `(B, 12, D, 16, 16)`.
            photos: the statistics of the content and of the style.
            masks: the regions of the content, `(B, K, 64, 64)`, and of the style, `(1 or B, K, 64, 64)`.
            hidden: output of the residual blocks, `(B, C, 16, 16)`.
            floor: see `knothe_rosenblatt`.

        Returns:
            `(B, 12, D, 16, 16)`.
        """
        kind = 0 if photos[0].mask is not None else 1
        share = (full_precision(self.share(hidden)) + self.start[kind]).sigmoid()
        with no_autocast(grid):
            colors = [from_opponent(photo.moments[:, 1:4]) for photo in photos]
            problem = LeastSquares(colors[0], grid)
            start = grid - identity_grid(1, 1, 1, 1, grid.device, grid.dtype)
            before = problem.change(start)
            output = (colors[0] + before).clamp(0, 1)
            wanted = _match(output, colors[1], masks, floor) * (problem.rows @ share @ problem.rows.T)
            weight = self.weight[kind].exp()
            residual = problem.gather(wanted - weight * problem.residual(before))
            return problem.solve(residual, weight, self.steps)


class LeastSquares:
    """The linear maps of `LeastSquaresStep` for a content.

    Attributes:
        rows: weights of the cells for each row of places, `(64, 16)`.

    Args:
        content: colour of each place, `(B, 3, 64, 64)`.
        like: a grid of the size to find.
    """

    def __init__(self, content: torch.Tensor, like: torch.Tensor) -> None:
        self.content, self.size = content, like.shape[2:]
        self.rows = tent_matrix(PLACES, like.shape[-1], content)
        weights = depth_shares(luma(content), like.shape[2])
        terms = torch.cat([content, torch.ones_like(content[:, :1])], 1)
        # The factor of each coefficient of a row of an affine map, then of each depth, in the colour of a place.
        self.factors = (terms[:, :, None] * weights[:, None]).flatten(1, 2)  # (B, 4 D, 64, 64)
        places = torch.arange(PLACES, device=content.device)
        offset = places - places[: PLACES - WINDOW + 1, None]
        self.window = ((offset >= 0) & (offset < WINDOW)).to(content) / WINDOW  # (56, 64): means along an axis
        means = self._means(torch.cat([content, _products(content, content)], 1))
        self.mean = means[:, :3]
        self.inverse = _inverse(_square(means[:, 3:] - _products(self.mean, self.mean)))
        # The number of windows that contain a place, divided by the size of a window.
        count = self.window.sum(0)
        self.count = count[:, None] * count

    def change(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return S h: the change `(B, 3, 64, 64)` of the colours by a grid `(B, 12, D, 16, 16)` of changes."""
        planes = self.rows @ coefficients.reshape(-1, 3, 4 * self.size[0], *self.size[1:]) @ self.rows.T
        return (planes * self.factors[:, None]).sum(2)

    def gather(self, colors: torch.Tensor) -> torch.Tensor:
        """Return S^T of colours `(B, 3, 64, 64)`: `(B, 12, D, 16, 16)`."""
        sums = self.rows.T @ (colors[:, :, None] * self.factors[:, None]) @ self.rows
        return sums.reshape(-1, COEFFICIENTS, *self.size)

    def residual(self, change: torch.Tensor) -> torch.Tensor:
        """Return half the gradient of E with respect to the change, `(B, 3, 64, 64)`."""
        means = self._means(torch.cat([change, _products(self.content, change)], 1))
        mean = means[:, :3]
        shared = _square(means[:, 3:] - _products(self.mean, mean))
        slopes = (self.inverse[:, :, :, None] * shared[:, None]).sum(2)  # (B, 3 of content, 3, 56, 56)
        offset = mean - (slopes * self.mean[:, :, None]).sum(1)
        sums = self.window.T @ torch.cat([slopes.flatten(1, 2), offset], 1) @ self.window
        return self.count * change - (_square(sums[:, :9]) * self.content[:, :, None]).sum(1) - sums[:, 9:]

    def solve(self, residual: torch.Tensor, weight: torch.Tensor, steps: int) -> torch.Tensor:
        """Return the change of the grid after some steps of the conjugate gradient method.

        Args:
            residual: half the negative gradient of J at the start, `(B, 12, D, 16, 16)`.
            weight: the weight of E.
            steps: number of steps.
        """
        squares = self.rows.square()
        diagonal = squares.T @ self.factors.square() @ squares + DAMPING
        diagonal = diagonal.reshape(-1, 1, 4, *self.size).expand(-1, 3, -1, -1, -1, -1).flatten(1, 2)
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
        means: torch.Tensor = self.window @ planes @ self.window.T
        return means


def _products(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the products of all channels of two images, `(B, 9, h, w)`; the channels of the second vary fastest."""
    return (first[:, :, None] * second[:, None]).flatten(1, 2)


def _inverse(covariance: torch.Tensor) -> torch.Tensor:
    """Return the inverse of covariances `(B, 3, 3, h, w)` plus `RIDGE`, in the same shape.

    The cofactors take ten operations, and a Cholesky factor fifty. They lose digits, so they are computed in float64.
    """
    ridge = RIDGE * torch.eye(3, dtype=covariance.dtype, device=covariance.device)
    matrix = (covariance + ridge[..., None, None]).double()

    def turned(rows: int, columns: int) -> torch.Tensor:
        return matrix.roll((-rows, -columns), (1, 2))

    cofactors = turned(1, 1) * turned(2, 2) - turned(1, 2) * turned(2, 1)
    determinant = (matrix[:, :1] * cofactors[:, :1]).sum(2, keepdim=True)
    return (cofactors / determinant).to(covariance)


def _square(planes: torch.Tensor) -> torch.Tensor:
    """Return planes `(B, 9, h, w)` as 3x3 matrices, `(B, 3, 3, h, w)`."""
    return planes.reshape(-1, 3, 3, *planes.shape[2:])


def _match(
    output: torch.Tensor, style: torch.Tensor, masks: tuple[torch.Tensor, torch.Tensor], floor: torch.Tensor
) -> torch.Tensor:
    """Return the changes that give each region of the output the mean and the covariance of its region in the style.

    Args:
        output: `(B, 3, 64, 64)`.
        style: `(1 or B, 3, 64, 64)`.
        masks: see `LeastSquaresStep.forward`.
        floor: see `knothe_rosenblatt`.

    Returns:
        `(B, 3, 64, 64)`. A region that covers little of a photo changes less.
    """
    # Both photos at once, because each operation costs time even if there is little to compute.
    both = [torch.stack(torch.broadcast_tensors(*pair)) for pair in (masks, (output, style))]  # type: ignore[no-untyped-call]
    places, colors = (pair.flatten(0, 1) for pair in both)
    moments = places.flatten(2) @ color_moments(colors).flatten(2).transpose(1, 2) / PLACES**2
    own, wanted = moments.view(2, -1, *moments.shape[1:]).unbind()  # (B, K, 10)
    maps = knothe_rosenblatt(own, wanted, floor)  # (B, K, 12)
    trust = [mass / (mass + FEW) for mass in (own[..., :1], wanted[..., :1])]
    change = (maps - identity_grid(1, 1, 1, 1, maps.device, maps.dtype).view(-1)) * trust[0] * trust[1]
    mixed = (change.transpose(1, 2) @ masks[0].flatten(2)).view(-1, 3, 4, PLACES, PLACES)
    return (mixed[:, :, :3] * output[:, None]).sum(2) + mixed[:, :, 3]
