"""Sharing of colour transforms between cells that show the same ground, such as one wall or one sky."""

import math
from typing import NamedTuple

import torch
from torch import nn

from lookcast.generators.regions import blur_volume
from lookcast.generators.statistics import CELLS, PhotoStatistics, cell_sums, with_position
from lookcast.ops.precision import full_precision, no_autocast


class Grounds(NamedTuple):
    """The ground of each cell of the grid: the cells at the same depth that show the same surface.

    D is the depth of the grid, and P is the number of cells at one depth.

    Attributes:
        weights: `(B, D, P, P)`: for each cell, a row with the weights of all cells at the same depth. A row sums to 1.
        openness: `(B, D, P, 1)` in [0, 1]: 0 keeps the transform of a cell, 1 replaces the transform by the average
            over the cell's ground.
    """

    weights: torch.Tensor
    openness: torch.Tensor

    def share(self, change: torch.Tensor) -> torch.Tensor:
        """Move the change of each cell, `(B, 12, D, GH, GW)`, towards the average over the cell's ground."""
        with no_autocast(change):
            cells = change.flatten(3).permute(0, 2, 3, 1)  # (B, D, P, 12)
            shared = torch.lerp(cells, self.weights @ cells, self.openness)
            return shared.permute(0, 3, 1, 2).reshape(change.shape)


class GroundSharing(nn.Module):
    """Network that finds the ground of each cell of the grid.

    A ground is a surface that covers many cells, such as a wall or a sky. Each of its cells attends to different cells
    of the style. Without sharing, a wall would get stripes, and an object in front of the wall would get a halo.

    Two cells p and q at the same depth share a ground if their pixels have similar colours, regions and features:
    `weight[p, q] ~ mass[q] * exp(-|f[p] - f[q]|^2 / 2 - (spread[q] / limit)^2)`. The vector f holds the scaled mean
    colour, the scaled shares of the regions and a projection of the features. The mass of a cell is its number of
    pixels, and the spread is the standard deviation of their colours. A cell with a small spread is open to sharing. A
    textured cell keeps its own transform.

    Args:
        inputs: number of channels that `with_position` returns.
        channels: number of channels of the projected features.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, channels, 1, bias=False)
        # The colour distance .07 was chosen with untrained sharing: a smaller distance leaves stripes, a larger one
        # weakens the look.
        self.color_scale = nn.Parameter(torch.full((3,), math.log(1 / 0.07)))
        # Entry 0 scales the regions of given masks, and entry 1 scales predicted regions.
        self.region_scale = nn.Parameter(torch.tensor([0.3, -1.2], device="cpu"))
        self.limit = nn.Parameter(torch.tensor(math.log(0.07), device="cpu"))
        with torch.no_grad():
            self.project.weight.mul_(0.3)

    def forward(self, content: PhotoStatistics, regions: torch.Tensor, bias: torch.Tensor) -> Grounds:
        """Find the grounds of a content photo.

        Args:
            content: statistics of the content.
            regions: `(B, K, D, 16, 16)`: the share of each region in each cell of the grid.
            bias: `(B, D, 16, 16)`, added to the logits of the openness.
        """
        with no_autocast(content.places):
            depth = content.shares.shape[1]
            sums = cell_sums(content.shares, content.moments).permute(0, 3, 2, 1)
            volume = sums.reshape(sums.shape[0], -1, depth, CELLS, CELLS)  # `len` would fix the batch of an export
            # A cell without pixels takes the colours of nearby pixels, because slicing interpolates between cells.
            near = blur_volume(volume) + 1e-4 * volume.sum(2, keepdim=True)
            moments = (near[:, 1:] / near[:, :1].clamp_min(1e-8)).flatten(3).permute(0, 2, 3, 1)  # (B, D, P, 9)
            color = moments[..., :3]
            squares = torch.stack([moments[..., n] for n in (3, 6, 8)], -1)
            variance = (squares - color.square()).clamp_min(0).sum(-1)
            features = self.project(with_position(content.cells)).flatten(2).transpose(1, 2)
            scale = self.region_scale[0 if content.mask is not None else 1].exp()
            described = torch.cat(
                [
                    color * self.color_scale.exp(),
                    scale * regions.flatten(3).permute(0, 2, 3, 1),
                    full_precision(features)[:, None].expand(-1, depth, -1, -1),
                ],
                -1,
            )
            spread = (variance + 1e-8).sqrt() / self.limit.exp()
            mass = volume[:, 0].flatten(2)
            prior = (mass + 1e-6).log() - spread.square() - described.square().sum(-1) / 2
            weights = (described @ described.transpose(2, 3) + prior[:, :, None]).softmax(-1)
            openness = (3 * (1 - spread) + full_precision(bias).flatten(2)).sigmoid()
            return Grounds(weights, openness[..., None])
