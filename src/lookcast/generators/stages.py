"""The intermediate values of the universal generator's prediction, stage by stage."""

from typing import NamedTuple

import torch

from lookcast.generators.grounds import Grounds
from lookcast.generators.groups import Group


class GridStages(NamedTuple):
    """The values from which a grid was made: `grid = identity + shared + learned_shared + all corrections`.

    P is the number of cells of a photo, H the number of attention heads, and D the depth of the grid.

    Attributes:
        content_regions: the regions of the content, `(B, K, 64, 64)`: the given mask, or the predicted classes.
        style_regions: the regions of the style, `(1 or B, K, 64, 64)`. A label absent from the style covers all of it.
        content_group: for each cell of the content, its group in the content.
        style_group: for each cell of the content, its group in the style.
        mix: `(B, M, P)`: for each cell, the shares of the M colour maps whose mean carries the colours. A column sums
            to 1. The first H maps belong to the attention heads. With ground sharing, a map of the whole region and a
            map of the whole photo follow.
        strength: the strength of the carried colours in each cell, `(B, 1, P)`.
        carried: the change of the identity by carried colours, `(B, 12, D, 16, 16)`.
        shared: `carried` after the cells of a ground have shared it; `carried` itself without ground sharing.
        learned: the correction by the residual blocks, `(B, 12, D, 16, 16)`.
        learned_shared: `learned` after the cells of a ground have shared it.
        grounds: the ground of each cell; None without ground sharing.
        corrections: the last corrections, `(B, 12, D, 16, 16)` each, in their order: `toned` by `ToneTransfer`,
            `solved` by `LeastSquaresStep`, and `robust` by `RobustMap`. A part that the generator lacks has no entry.
        grid: the predicted grid, `(B, 12, D, 16, 16)`.
    """

    content_regions: torch.Tensor
    style_regions: torch.Tensor
    content_group: Group
    style_group: Group
    mix: torch.Tensor
    strength: torch.Tensor
    carried: torch.Tensor
    shared: torch.Tensor
    learned: torch.Tensor
    learned_shared: torch.Tensor
    grounds: Grounds | None
    corrections: dict[str, torch.Tensor]
    grid: torch.Tensor

    def attention(self) -> torch.Tensor:
        """Return the weights of the style's cells for each cell of the content, `(B, P, P)`.

        The weights are the mean over the heads, in the shares that `mix` gives the heads. A row sums to 1; the row of a
        cell without any label is 0.
        """
        weights = self.style_group.head_weights
        shares = self.mix[:, : weights.shape[1], :, None]
        return (shares * weights).sum(1) / shares.sum(1)

    def changes(self) -> dict[str, torch.Tensor]:
        """Return what each stage added to the identity grid, `(B, 12, D, 16, 16)` each.

        The sum of the identity grid and all changes is the grid, up to rounding.
        """
        changes = {"carried": self.carried}
        if self.grounds is not None:
            changes["shared"] = self.shared - self.carried
        changes["learned"] = self.learned
        if self.grounds is not None:
            changes["learned_shared"] = self.learned_shared - self.learned
        return changes | self.corrections
