"""One affine colour map for a whole photo, on which most of its matches with the style agree."""

import torch
from torch import nn

from lookcast.generators.least_squares import inverse_with_ridge
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.precision import full_precision, no_autocast
from lookcast.ops.transport import second_moments

SCALE = 0.02
"""Difference of colours, in [0, 1], at which a group gets half of its weight."""
SPREAD = 3.0
"""Weight of the covariance of a group; its mean colour has weight 1."""
RIDGE = 2e-3
"""Weight of the squared differences between the slopes of the map and its gain."""
NOISE = 1e-5
"""Variance that halves the gain. Below it, a photo has no contrast that could grow."""
TINY = 1e-12
"""Number that keeps quotients and the logarithm finite."""


class RobustMap(nn.Module):
    """Module that moves a predicted grid towards one affine colour map, on which most groups agree.

    Photographs of one scene often differ by one grade: exposure, contrast, white balance. Then the groups of all cells
    have about the same colour map. Only groups without a counterpart in the style have other maps. The module finds the
    affine map A that is nearest to the maps T_i of most groups::

        minimise sum_i s_i log(1 + d_i / SCALE^2) + ridge,
        d_i = |A m_i - T_i m_i|^2 + SPREAD * mean over the pixels x of group i of |(A x - A m_i) - (T_i x - T_i m_i)|^2

    s_i is the size of group i, and m_i is its mean colour. This is a robust regression with Cauchy's weights
    `s_i / (1 + d_i / SCALE^2)`. Each step solves a weighted least-squares problem. Where the colours of the content
    hardly vary along an axis, the ridge gives this axis the gain of the whole photo: the one number that changes the
    contrast of all axes alike.

    The mean of the weights is the consensus: 1 if all groups agree, and near 0 if none do. The grid moves towards A by
    a share that grows with the consensus. The network adds a number to the logit of this share. Areas without a label
    stay as they are.

    If the content is its own style, A is the identity, up to rounding.

    Args:
        channels: number of channels of the generator's residual blocks.
        heads: number of attention heads.
        steps: number of steps of the regression, at least 1.

    Reference:
        Holland and Welsch, "Robust regression using iteratively reweighted least-squares", 1977.
    """

    def __init__(self, channels: int, heads: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.heads = nn.Parameter(torch.zeros(heads, device="cpu"))  # logits of the weights of the heads
        # In all three, entry 0 is for photos with masks, and entry 1 for photos without masks. A consensus of .27 gives
        # a share of a half with masks, and one of .1 without masks. Without masks, this was chosen on held-out photos.
        self.share = nn.Conv2d(channels, 2, 1, bias=False)
        nn.init.zeros_(self.share.weight)
        self.share_bias = nn.Parameter(torch.tensor([2.6, 4.6], device="cpu"))
        self.share_slope = nn.Parameter(torch.tensor([2.0, 2.0], device="cpu"))

    def forward(
        self,
        grid: torch.Tensor,
        masked: bool,
        regions: torch.Tensor,
        sizes: torch.Tensor,
        moments: torch.Tensor,
        maps: torch.Tensor,
        hidden: torch.Tensor,
    ) -> torch.Tensor:
        """Return the correction of a grid.

        Args:
            grid: `(B, 12, D, 16, 16)`.
            masked: the photos have masks.
            regions: the share of each region in each cell of the grid, `(B, K, D, 16, 16)`.
            sizes: the size of each region in each cell of the content, `(B, P, K)`.
            moments: the colour moments of the groups in the content, `(B, H, P, K, 10)`; see `Group`.
            maps: the colour maps of the groups, `(B, M, P, K, 12)`, M at least H. Those of the heads come first.
            hidden: output of the residual blocks, `(B, C, 16, 16)`.

        Returns:
            `(B, 12, D, 16, 16)`.
        """
        kind = 0 if masked else 1
        seen = full_precision(self.share(hidden)).mean((2, 3))[:, kind]
        with no_autocast(grid):
            identity = identity_grid(1, 1, 1, 1, grid.device, grid.dtype)
            weights = self.heads.softmax(0).view(-1, 1, 1) * sizes[:, None]
            changes = maps[:, : len(self.heads)] - identity.view(-1)
            found, consensus = robust_change(moments, changes, weights, self.steps)
            share = (self.share_bias[kind] + self.share_slope[kind] * (consensus + TINY).log() + seen).sigmoid()
            share = share.view(-1, 1, 1, 1, 1) * regions.sum(1, keepdim=True)
            return share * (identity + found[..., None, None, None] - grid)


def robust_change(
    moments: torch.Tensor, changes: torch.Tensor, weights: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the affine change of colour on which most groups agree; see `RobustMap`.

    Args:
        moments: for each group, `(B, ..., 10)`, averages of `color_moments`; the weights need not sum to 1.
        changes: for each group, an affine map minus the identity, `(B, ..., 12)`.
        weights: the sizes of the groups, `(B, ...)`.
        steps: number of steps of the regression, at least 1.

    Returns:
        The change, `(B, 12)`, and the consensus, `(B,)`, in [0, 1].
    """
    batch = weights.shape[0]  # `len` would make it a constant of an exported graph
    # The groups are the last axis, because an operation on many short rows takes several times as long.
    second = second_moments(moments.flatten(1, -2).transpose(1, 2)).view(batch, 4, 4, -1)
    mean = second[:, 3]
    second = SPREAD * second + (1 - SPREAD) * mean[:, :, None] * mean[:, None]
    change = changes.flatten(1, -2).transpose(1, 2).view(batch, 3, 4, -1)
    product = (change[:, :, :, None] * second[:, None]).sum(2)  # (B, 3, 4, N)
    square = (change * product).sum((1, 2))
    # The squared distance of a map from the map of a group is linear in these numbers.
    terms = torch.cat([second.flatten(1, 2), product.flatten(1, 2)], 1)  # (B, 16 + 12, N)
    total = weights.flatten(1)
    total = total / total.sum(1, keepdim=True).clamp_min(TINY)
    weight = total
    for _ in range(steps):
        sums = (terms @ weight[..., None])[..., 0]
        sums = sums / sums[:, 15:16].clamp_min(TINY)  # entry 3, 3 of the second moments is 1, so its sum is the weight
        found = _affine_fit(sums[:, :16].view(-1, 4, 4), sums[:, 16:].view(-1, 3, 4))
        factors = torch.cat([found.transpose(1, 2) @ found, -2 * found], 1).flatten(1)
        distance = (factors[:, None] @ terms)[:, 0] + square
        weight = total / (1 + distance.clamp_min(0) / SCALE**2)
    return found.flatten(1), weight.sum(1)


def _affine_fit(second: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Solve the least-squares problem `(B, 3, 4)` with the mean second moments of x and the mean products of y and x.

    x has the entries red, green, blue, 1, and y is the wanted change of colour.
    """
    mean, wanted = second[:, 3, None, :3], product[:, :, 3:]  # (B, 1, 3) and (B, 3, 1)
    covariance = second[:, :3, :3] - mean.transpose(1, 2) * mean
    shared = product[:, :, :3] - wanted * mean
    sums = [matrix.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1) for matrix in (shared, covariance)]
    gain = sums[0] / (sums[1] + NOISE)
    slopes = gain * torch.eye(3, dtype=gain.dtype, device=gain.device)
    slopes = slopes + (shared - gain * covariance) @ inverse_with_ridge(covariance, RIDGE)
    return torch.cat([slopes, wanted - slopes @ mean.transpose(1, 2)], 2)
