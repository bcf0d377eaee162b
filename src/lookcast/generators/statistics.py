"""The statistics of a photo that the universal generator works with, cell by cell and region by region."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.ops.bilateral.reference import cell_position, tent_weight
from lookcast.ops.color import luma
from lookcast.ops.masks import resize_mask
from lookcast.ops.precision import full_precision
from lookcast.ops.resize import shrink_to_side
from lookcast.ops.transport import color_moments
from lookcast.structures import Features

CELLS = 16
"""Cells per side: the resolution of the attention and of the grid."""
PLACES = 64
"""Places per side: the resolution of the regions; 4x4 places make a cell."""
TAP_CHANNELS = (10, 15, 38, 27)
"""Channels of the compact encoder's taps, relu1_1 to relu4_1."""
NUM_FEATURES = sum(TAP_CHANNELS)


class PhotoStatistics(NamedTuple):
    """Statistics of a photo. P = 16 x 16 cells, row by row.

    Attributes:
        thumbnail: the thumbnail `(B, 3, S, S)` that they are computed from.
        places: features at the places, `(B, 90, 64, 64)`.
        cells: features at the cells, `(B, 90, 16, 16)`.
        statistics: features, squared features and luma shares of each cell, `(B, P, 2 * 90 + D)`; attention averages
            them.
        moments: colour moments at the places, `(B, 10, 64, 64)`.
        shares: shares of the D luma steps at the places, `(B, D, 64, 64)`.
        mask: the given regions at the places, `(B, K, 64, 64)`, or None without masks.
        classes: the predicted regions at the places, `(B, K, 64, 64)`; None with a mask, or before they are predicted.
    """

    thumbnail: torch.Tensor
    places: torch.Tensor
    cells: torch.Tensor
    statistics: torch.Tensor
    moments: torch.Tensor
    shares: torch.Tensor
    mask: torch.Tensor | None
    classes: torch.Tensor | None = None


def photo_statistics(
    thumbnail: torch.Tensor, features: Features, mask: torch.Tensor | None, depth: int
) -> PhotoStatistics:
    """Compute the statistics of a photo from its thumbnail.

    Args:
        thumbnail: `(B, 3, S, S)`, S a power of two, at least 64.
        features: features of the thumbnail, by tap.
        mask: `(B, K, H, W)` of any size, or None without masks.
        depth: D, the depth of the grid.
    """
    size = (PLACES, PLACES)
    taps = [
        shrink_to_side(tap, PLACES) if tap.shape[-1] >= PLACES else F.interpolate(tap, size, mode="bilinear")
        for tap in map(full_precision, features.values())
    ]
    places = torch.cat(taps, 1)
    shares = depth_shares(luma(thumbnail), depth)
    shares_at_places = shrink_to_side(shares, PLACES)
    cells = shrink_to_side(places, CELLS)
    of_cells = [cells, shrink_to_side(places.square(), CELLS), shrink_to_side(shares_at_places, CELLS)]
    return PhotoStatistics(
        thumbnail=thumbnail,
        places=places,
        cells=cells,
        statistics=torch.cat(of_cells, 1).flatten(2).transpose(1, 2),
        moments=shrink_to_side(color_moments(thumbnail), PLACES),
        shares=shares_at_places,
        mask=None if mask is None else resize_mask(mask.to(places.dtype), size),
    )


def depth_shares(guide: torch.Tensor, depth: int) -> torch.Tensor:
    """Return the weight of each of the grid's D cells along the guide, as slicing weighs them.

    Args:
        guide: `(B, 1, H, W)` in [0, 1].
        depth: D.

    Returns:
        `(B, D, H, W)`, sums to 1 over D.
    """
    centres = torch.arange(depth, device=guide.device, dtype=guide.dtype).view(1, -1, 1, 1)
    return tent_weight(cell_position(guide, depth), centres)


def cell_sums(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sum weighted values over the places of each cell: `(B, K, 64, 64)`, `(B, C, 64, 64)` to `(B, P, K, C)`."""
    left, right = _by_cell(weights), _by_cell(values)
    return left.transpose(2, 3) @ right


def _by_cell(x: torch.Tensor) -> torch.Tensor:
    """Group the places by cell: `(B, C, 64, 64)` to `(B, P, 16 places, C)`."""
    batch, channels, side = x.shape[0], x.shape[1], PLACES // CELLS
    blocks = x.reshape(batch, channels, CELLS, side, CELLS, side)
    return blocks.permute(0, 2, 4, 3, 5, 1).reshape(batch, CELLS * CELLS, side * side, channels)


def region_shares(shares: torch.Tensor, mask: torch.Tensor, rounds: int = 2) -> torch.Tensor:
    """Return the share of each region in the pixels of each cell of the grid.

    A blur gives a cell without pixels the shares of its neighbours, in depth and in the plane, because slicing reads it
    for the pixels between two cells. The blur also softens the borders between regions.

    Args:
        shares: shares of the D luma steps, `(B, D, 64, 64)`.
        mask: the regions, `(B, K, 64, 64)`.
        rounds: number of blurs.

    Returns:
        `(B, K, D, 16, 16)`, sums to 1 over K, or to 0 where nothing is labelled.
    """
    sums = cell_sums(shares, mask)  # (B, P, D, K)
    volume = sums.permute(0, 3, 2, 1).reshape(sums.shape[0], mask.shape[1], shares.shape[1], CELLS, CELLS)
    plane = volume.sum(2, keepdim=True)
    for _ in range(rounds):
        volume = _blur(volume)
    # A cell without pixels near it takes the shares at any luma. A tenth of them everywhere keeps the pixels of one
    # texture, which differ in luma only, in the same region.
    volume = volume + 0.1 * plane
    return volume / volume.sum(1, keepdim=True).clamp_min(1e-6)


def _blur(volume: torch.Tensor) -> torch.Tensor:
    """Blur by [1 2 1] / 4 along depth, height and width, with replicated borders."""
    padded = F.pad(volume, (1, 1, 1, 1, 1, 1), mode="replicate")
    for dim in (2, 3, 4):
        size = padded.shape[dim] - 2
        padded = (padded.narrow(dim, 0, size) + 2 * padded.narrow(dim, 1, size) + padded.narrow(dim, 2, size)) / 4
    return padded


class RegionHead(nn.Module):
    """Predicts regions without masks: the same soft classes in every photo, learned with the generator.

    Args:
        num_regions: K.
        width: channels of the hidden layer.
    """

    def __init__(self, num_regions: int, width: int = 48) -> None:
        super().__init__()
        last = nn.Conv2d(width, num_regions, 1)
        with torch.no_grad():  # without it, every place would belong to every class alike, and none would be learned
            last.weight.mul_(3)
        self.layers = nn.Sequential(nn.Conv2d(2 * NUM_FEATURES + 2, width, 1), nn.ReLU(), last)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """Predict the classes: `(B, 90, 64, 64)` to `(B, K, 64, 64)`, sums to 1 over K."""
        return full_precision(self.layers(with_position(places))).softmax(1)


def with_position(features: torch.Tensor) -> torch.Tensor:
    """Append the features relative to their photo, and the position: `(B, C, h, w)` to `(B, 2C + 2, h, w)`.

    Relative features are the same by day and by night; absolute ones tell grass from sky.
    """
    height, width = features.shape[-2:]
    centered = features - features.mean((-2, -1), keepdim=True)
    # The standard deviation; torch.std takes ten times as long on a CPU.
    spread = torch.linalg.vector_norm(centered, dim=(-2, -1), keepdim=True) / (height * width - 1) ** 0.5
    y = torch.linspace(-1, 1, height, device=features.device, dtype=features.dtype).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, width, device=features.device, dtype=features.dtype).view(1, 1, 1, -1)
    plane = features[:, :1]
    return torch.cat([features, centered / (spread + 0.1), y.expand_as(plane), x.expand_as(plane)], 1)


def group_summary(weights: torch.Tensor, photo: PhotoStatistics) -> torch.Tensor:
    """Return the input of the residual blocks for a group: means and spreads of features and colours, luma shares.

    Args:
        weights: weights of the photo's cells in each group, `(B, P, P)`.
        photo: statistics of the photo.
    """
    statistics = weights @ photo.statistics
    moments = weights @ F.avg_pool2d(photo.moments, PLACES // CELLS).flatten(2).transpose(1, 2)
    mean, square = statistics[..., :NUM_FEATURES], statistics[..., NUM_FEATURES : 2 * NUM_FEATURES]
    spread = (square - mean.square()).clamp_min(1e-4).sqrt()
    center = moments[..., 1:4]
    deviation = (moments[..., [4, 7, 9]] - center.square()).clamp_min(1e-5).sqrt()
    # The factors bring all of them to the order of 1.
    return to_plane(torch.cat([mean, spread, 8 * statistics[..., 2 * NUM_FEATURES :], 4 * center, 8 * deviation], -1))


def to_plane(cells: torch.Tensor) -> torch.Tensor:
    """Arrange cells in a plane: `(B, P, C)` to `(B, C, 16, 16)`."""
    return cells.transpose(1, 2).reshape(cells.shape[0], -1, CELLS, CELLS)
