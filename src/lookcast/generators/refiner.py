"""The second correction of a predicted grid, and the drafts from which both corrections are made."""

import torch
from torch import nn

from lookcast.generators.bilateral import ResidualBlock
from lookcast.generators.statistics import NUM_FEATURES, PhotoStatistics, group_summary, photo_statistics
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import COEFFICIENTS
from lookcast.ops.precision import full_precision, no_autocast


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


class GridRefiner(nn.Module):
    """Network that corrects a predicted grid once more, from a draft that this grid makes.

    The correction is `L(f(wanted + S(seen))) - L(f(reached))`. The residual blocks f work at the resolution of the
    grid, and L and S are convolutions without a bias. `seen` shows the network what no statistics of groups show: the
    grid itself, whose differences between neighbouring cells make halos, and how much each cell has changed. If content
    and style are the same photo, `seen` is 0 and `wanted` equals `reached`, so the correction is 0.

    Args:
        depth: D, depth of the grid.
        channels: number of channels of the residual blocks.
        blocks: number of residual blocks.
    """

    def __init__(self, depth: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.seen = nn.Conv2d(COEFFICIENTS * depth + NUM_FEATURES, channels, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.last = nn.Conv2d(channels, COEFFICIENTS * depth, 1, bias=False)
        nn.init.zeros_(self.seen.weight)
        nn.init.zeros_(self.last.weight)

    def forward(
        self, wanted: torch.Tensor, reached: torch.Tensor, change: torch.Tensor, moved: torch.Tensor
    ) -> torch.Tensor:
        """Return the correction `(B, 12, D, 16, 16)`.

        Args:
            wanted: embedded statistics of the style's groups, `(B, C, 16, 16)`.
            reached: embedded statistics of the draft's groups, `(B, C, 16, 16)`.
            change: the grid minus the identity, `(B, 12, D, 16, 16)`.
            moved: the draft's features minus the content's, `(B, 90, 16, 16)`.
        """
        aimed = wanted + self.seen(torch.cat([change.flatten(1, 2), moved], 1))
        of_style, of_draft = (self.last(torch.relu(self.blocks(x))) for x in (aimed, reached))
        return full_precision(of_style - of_draft).reshape(change.shape)
