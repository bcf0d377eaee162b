"""One affine colour map for a whole photo, on which most of its matches with the style agree."""

import torch
from torch import nn

from lookcast.generators.least_squares import inverse_with_ridge
from lookcast.generators.statistics import PhotoStatistics, cell_sums
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.precision import full_precision, no_autocast
from lookcast.ops.transport import second_moments

SCALE = 0.02
"""Difference of colours, in [0, 1], at which a match gets half of its weight."""
SPREAD = 3.0
"""Weight of the covariance of a group, in proportion to its mean. The contrast of a match says more than its colour."""
RIDGE = 1e-3
"""Variance that draws the map to the identity along the axes on which the content has little contrast."""
TINY = 1e-12
"""Number that keeps the logarithm finite."""


class RobustMap(nn.Module):
    """Module that moves a predicted grid towards one affine colour map, on which most matches agree.

    The photographs of one scene often differ by one grade: exposure, contrast, white balance. Then the groups of cells
    that match give about the same colour map. Groups without a counterpart in the style give other maps. The module
    finds the affine map A that is nearest to most of the maps T_i of the groups, and leaves the others aside::

        minimise sum_i s_i log(1 + d_i(A) / SCALE^2),   d_i(A) = mean over the pixels x of group i of |A x - T_i x|^2

    s_i is the size of a group. This is a robust regression with Cauchy's weights `s_i / (1 + d_i / SCALE^2)`, and each
    step of it is a weighted least-squares problem.

    The mean weight is the consensus: 1 if all matches agree, near 0 if none do. The grid moves towards A by a share
    that grows with the consensus. The network adds to the logit of this share from what it sees of both photos.

    If the content is its own style, A is the identity, up to rounding.

    Args:
        channels: number of channels of the generator's residual blocks.
        heads: number of attention heads.
        steps: number of steps of the regression.

    Reference:
        Holland and Welsch, "Robust regression using iteratively reweighted least-squares", 1977.
    """

    def __init__(self, channels: int, heads: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.heads = nn.Parameter(torch.zeros(heads, device="cpu"))  # logits of the weights of the heads
        # In all three, row 0 is for photos with masks, and row 1 for photos without masks.
        self.share = nn.Conv2d(channels, 2, 1, bias=False)
        nn.init.zeros_(self.share.weight)
        self.share_bias = nn.Parameter(torch.tensor([2.6, 4.6], device="cpu"))
        self.share_slope = nn.Parameter(torch.tensor([2.0, 2.0], device="cpu"))

    def forward(
        self,
        grid: torch.Tensor,
        content: PhotoStatistics,
        own: torch.Tensor,
        moments: torch.Tensor,
        maps: torch.Tensor,
        hidden: torch.Tensor,
    ) -> torch.Tensor:
        """Return the correction of a grid.

        Args:
            grid: `(B, 12, D, 16, 16)`.
            content: the statistics of the content.
            own: the regions of the content, `(B, K, 64, 64)`.
            moments: the colour moments of the groups in the content, `(B, H, P, K, 10)`; see `Group`.
            maps: the colour maps of the groups, `(B, M, P, K, 12)`, M at least H. Those of the heads come first.
            hidden: output of the residual blocks, `(B, C, 16, 16)`.

        Returns:
            `(B, 12, D, 16, 16)`.
        """
        kind = 0 if content.mask is not None else 1
        seen = full_precision(self.share(hidden)).mean((2, 3))[:, kind]
        with no_autocast(grid):
            identity = identity_grid(1, 1, 1, 1, grid.device, grid.dtype)
            size = cell_sums(own, torch.ones_like(own[:, :1]))[..., 0]  # (B, P, K)
            weights = self.heads.softmax(0).view(-1, 1, 1) * size[:, None]
            change = maps[:, : len(self.heads)] - identity.view(-1)
            found, consensus = robust_change(moments, change, weights, self.steps)
            share = (self.share_bias[kind] + self.share_slope[kind] * (consensus + TINY).log() + seen).sigmoid()
            return share.view(-1, 1, 1, 1, 1) * (identity + found[..., None, None, None] - grid)


def robust_change(
    moments: torch.Tensor, changes: torch.Tensor, weights: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the affine change of colour that is nearest to most of many changes; see `RobustMap`.

    Args:
        moments: for each group, `(B, ..., 10)`, averages of `color_moments`; the weights need not sum to 1.
        changes: for each group, an affine map minus the identity, `(B, ..., 12)`.
        weights: the sizes of the groups, `(B, ...)`.
        steps: number of steps of the regression, at least 1.

    Returns:
        The change, `(B, 12)`, and the consensus, `(B,)`, in [0, 1].
    """
    batch = len(weights)
    # The groups are the last axis, because an operation on many short rows takes several times as long.
    second = second_moments(moments.flatten(1, -2).transpose(1, 2)).view(batch, 4, 4, -1)
    mean = second[:, 3]
    second = SPREAD * second + (1 - SPREAD) * mean[:, :, None] * mean[:, None]
    change = changes.flatten(1, -2).transpose(1, 2).view(batch, 3, 4, -1)
    product = (change[:, :, :, None] * second[:, None]).sum(2)  # (B, 3, 4, N)
    square = (change * product).sum((1, 2))[:, None]
    # The squared distance of a map from the map of a group is linear in these numbers.
    terms = torch.cat([second.flatten(1, 2), product.flatten(1, 2), square], 1)  # (B, 16 + 12 + 1, N)
    total = weights.flatten(1)
    total = total / total.sum(1, keepdim=True).clamp_min(TINY)
    weight = total
    for _ in range(steps):
        sums = (terms @ weight[..., None])[..., 0]
        sums = sums / sums[:, 15:16].clamp_min(TINY)  # entry 3, 3 of the second moments is 1, so its sum is the weight
        found = _affine_fit(sums[:, :16].view(-1, 4, 4), sums[:, 16:28].view(-1, 3, 4))
        factors = torch.cat([found.transpose(1, 2) @ found, -2 * found], 1).flatten(1)
        distance = (factors[:, None] @ terms[:, :28])[:, 0] + square[:, 0]
        weight = total / (1 + distance.clamp_min(0) / SCALE**2)
    return found.flatten(1), weight.sum(1)


def _affine_fit(second: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Solve the least-squares problem `(B, 3, 4)` with the mean second moments of x and the mean products of y and x.

    x has the entries red, green, blue, 1, and y is the wanted change of colour.
    """
    mean, wanted = second[:, 3, None, :3], product[:, :, 3:]  # (B, 1, 3) and (B, 3, 1)
    covariance = second[:, :3, :3] - mean.transpose(1, 2) * mean
    matrix = (product[:, :, :3] - wanted * mean) @ inverse_with_ridge(covariance, RIDGE)
    return torch.cat([matrix, wanted - matrix @ mean.transpose(1, 2)], 2)
