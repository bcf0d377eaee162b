"""The second correction of a predicted grid, and the drafts from which both corrections are made."""

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.generators.bilateral import ResidualBlock
from lookcast.generators.statistics import (
    CELLS,
    NUM_FEATURES,
    PhotoStatistics,
    cell_sums,
    group_summary,
    photo_statistics,
)
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import COEFFICIENTS
from lookcast.ops.cholesky import solve_3x3
from lookcast.ops.precision import full_precision, no_autocast

WINDOW = 9
"""Side of the windows of `unexplained_change`, in places. It is an eighth of the photo, as in the loss."""
EPS = 1e-4
"""Regularisation of the affine maps of `unexplained_change`."""
SCALE = 30.0
"""Factor that brings the result of `unexplained_change` to the scale of the grid."""


@torch.no_grad()
def make_draft(
    encoder: nn.Module, content: PhotoStatistics, grid: torch.Tensor, weights: torch.Tensor
) -> tuple[PhotoStatistics, torch.Tensor]:
    """Apply a grid to the content's thumbnail; return the statistics of this draft, and its `group_summary`.

    Args:
        encoder: the encoder.
        content: statistics of the content.
        grid: `(B, 12, D, GH, GW)`.
        weights: the weights of the content's cells in each group; see `group_summary`.
    """
    image = apply_grid(grid, content.thumbnail).clamp(0, 1)
    features = encoder(image)
    with no_autocast(image):
        statistics = photo_statistics(image, features, None, grid.shape[2])
        return statistics, group_summary(weights, statistics)


@torch.no_grad()
def unexplained_change(content: PhotoStatistics, draft: PhotoStatistics) -> torch.Tensor:
    """Return how the cells of the grid cause changes that no local affine map explains: halos, stripes and stains.

    The residual is `r = V - G(I, V)`. I is the content in opponent colours at the resolution of the places, V is the
    draft minus the content, and G is a guided filter with the guide I. The sums of `r (I, 1)` over the pixels of a cell
    are, up to a factor, the gradient of `|r|^2` with respect to the coefficients of the cell, since G is close to
    symmetric. If the draft equals the content, the result is 0.

    Args:
        content: statistics of the content.
        draft: statistics of the draft.

    Returns:
        `(B, 12 * D, 16, 16)`.

    Reference:
        He, Sun and Tang, "Guided image filtering", TPAMI 2013, eq. 19-21. At borders, a window is cut off.
    """
    colors = content.moments[:, 1:4]
    change = draft.moments[:, 1:4] - colors
    guide = colors - colors.mean((-2, -1), keepdim=True)  # keeps digits: E[x^2] - E[x]^2 subtracts two close numbers
    pairs = [(i, j) for i in range(3) for j in range(i + 1)]
    squares = [guide[:, i] * guide[:, j] for i, j in pairs]
    products = [guide[:, i] * change[:, k] for k in range(3) for i in range(3)]
    means = _box(torch.cat([guide, change, torch.stack([*squares, *products], 1)], 1))
    of_guide, of_change, second = means[:, :3], means[:, 3:6], means[:, 6:]
    l00, l10, l11, l20, l21, l22 = (second[:, n] - of_guide[:, i] * of_guide[:, j] for n, (i, j) in enumerate(pairs))
    system = (l00 + EPS, l10, l11 + EPS, l20, l21, l22 + EPS)
    maps, offsets = [], []
    for k in range(3):
        right = [second[:, 6 + 3 * k + i] - of_guide[:, i] * of_change[:, k] for i in range(3)]
        row = solve_3x3(system, torch.stack(right), EPS).transpose(0, 1)
        maps.append(row)
        offsets.append(of_change[:, k] - (row * of_guide).sum(1))
    smooth = _box(torch.cat([*maps, torch.stack(offsets, 1)], 1))
    fitted = [(smooth[:, 3 * k : 3 * k + 3] * guide).sum(1) + smooth[:, 9 + k] for k in range(3)]
    residual = change - torch.stack(fitted, 1)
    sums = cell_sums(content.shares, torch.cat([*(residual * guide[:, i : i + 1] for i in range(3)), residual], 1))
    return SCALE * sums.permute(0, 3, 2, 1).reshape(sums.shape[0], -1, CELLS, CELLS)


def _box(x: torch.Tensor) -> torch.Tensor:
    """Average over the part of a window inside the image, rows first, then columns."""
    x = F.avg_pool2d(x, (WINDOW, 1), 1, (WINDOW // 2, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, WINDOW), 1, (0, WINDOW // 2), count_include_pad=False)


class GridRefiner(nn.Module):
    """Network that corrects a predicted grid once more, from a draft that this grid makes.

    The correction is `L(f(wanted + S(seen))) - L(f(reached))`. The residual blocks f work at the resolution of the
    grid, and L and S are convolutions without a bias. `seen` shows the network what no statistics of groups show: the
    grid itself, how much the features of each cell have changed, and which cells cause changes that no local affine map
    explains (`unexplained_change`). If content and style are the same photo, `seen` is 0 and `wanted` equals `reached`,
    so the correction is 0.

    Args:
        depth: D, depth of the grid.
        channels: number of channels of the residual blocks.
        blocks: number of residual blocks.
    """

    def __init__(self, depth: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.seen = nn.Conv2d(2 * COEFFICIENTS * depth + NUM_FEATURES, channels, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.last = nn.Conv2d(channels, COEFFICIENTS * depth, 1, bias=False)
        nn.init.zeros_(self.seen.weight)
        nn.init.zeros_(self.last.weight)

    def forward(
        self,
        wanted: torch.Tensor,
        reached: torch.Tensor,
        change: torch.Tensor,
        content: PhotoStatistics,
        draft: PhotoStatistics,
    ) -> torch.Tensor:
        """Return the correction `(B, 12, D, 16, 16)`.

        Args:
            wanted: embedded statistics of the style's groups, `(B, C, 16, 16)`.
            reached: embedded statistics of the draft's groups, `(B, C, 16, 16)`.
            change: the grid minus the identity, `(B, 12, D, 16, 16)`.
            content: statistics of the content.
            draft: statistics of the draft that the grid makes.
        """
        with no_autocast(change):
            slope = unexplained_change(content, draft)
        seen = self.seen(torch.cat([change.flatten(1, 2), draft.cells - content.cells, slope], 1))
        of_style, of_draft = (self.last(torch.relu(self.blocks(x))) for x in (wanted + seen, reached))
        return full_precision(of_style - of_draft).reshape(change.shape)
