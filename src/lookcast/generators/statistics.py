"""What the universal generator knows of a photo: statistics of its cells, region by region."""

from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.ops.color import luma
from lookcast.ops.masks import resize_mask
from lookcast.ops.transport import color_moments
from lookcast.structures import Features

CELLS = 16
"""Cells a side: what attention compares, and the grid's height and width."""
FINE = 64
"""Places a side at which regions are told apart; 4x4 of them make a cell."""
THUMBNAIL = 256
"""Pixels a side that the encoder sees of a photo with a mask."""
UNMASKED_THUMBNAIL = 128
"""The same without a mask: a quarter of the pixels, and so of the encoder's time, for the same figures on pairs."""
TAP_CHANNELS = (10, 15, 38, 27)
"""Of the compact encoder, relu1_1 to relu4_1."""
NUM_FEATURES = sum(TAP_CHANNELS)


class PhotoStatistics(NamedTuple):
    """A photo as the generator sees it. P = 16 x 16 cells, row by row.

    Attributes:
        thumbnail: `(B, 3, S, S)`, S `THUMBNAIL` or `UNMASKED_THUMBNAIL`.
        places: features at 64x64 places, `(B, 90, 64, 64)`.
        cells: features at the cells, `(B, 90, 16, 16)`.
        statistics: what attention averages, `(B, P, S)`: features, their squares, shares of luma.
        moments: colour moments at the places, `(B, 10, 64, 64)`.
        shares: of luma's D steps at the places, `(B, D, 64, 64)`.
        mask: regions at the places that somebody drew, `(B, K, 64, 64)`, or None.
        classes: those that the generator tells apart where there is no mask; None until it was asked.
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
    """Gather what the generator needs from a thumbnail and its features.

    Args:
        thumbnail: `(B, 3, S, S)`, S a power of two, 64 at least.
        features: of the thumbnail, by tap.
        mask: `(B, K, H, W)` of any size, or None.
        depth: D, the grid's.
    """
    size = (FINE, FINE)
    taps = [
        _shrink(tap, FINE) if tap.shape[-1] >= FINE else F.interpolate(tap, size, mode="bilinear")
        for tap in (tap.float() for tap in features.values())
    ]
    places = torch.cat(taps, 1)
    shares = depth_shares(luma(thumbnail), depth)
    fine_shares = _shrink(shares, FINE)
    cells = _shrink(places, CELLS)
    statistics = torch.cat([cells, _shrink(places.square(), CELLS), _shrink(fine_shares, CELLS)], 1)
    return PhotoStatistics(
        thumbnail=thumbnail,
        places=places,
        cells=cells,
        statistics=statistics.flatten(2).transpose(1, 2),
        moments=_shrink(color_moments(thumbnail), FINE),
        shares=fine_shares,
        mask=None if mask is None else resize_mask(mask.to(places.dtype), size),
    )


def _shrink(x: torch.Tensor, side: int) -> torch.Tensor:
    """Means over squares; all sides here are powers of two, and adaptive pooling is several times slower."""
    factor = x.shape[-1] // side
    if factor == 1:
        return x
    if x.is_cuda:
        return F.avg_pool2d(x, factor)
    # Sums of whole planes use a CPU's vectors, which the pooling's small windows do not: half the time.
    rows = reduce(torch.add, (x[..., row::factor, :] for row in range(factor)))
    return reduce(torch.add, (rows[..., column::factor] for column in range(factor))) / factor**2


def depth_shares(guide: torch.Tensor, depth: int) -> torch.Tensor:
    """How much of each pixel lies in each of the grid's D cells along the guide, as slicing would weigh them.

    Args:
        guide: `(B, 1, H, W)` in [0, 1].
        depth: D.

    Returns:
        `(B, D, H, W)`, sums to 1 over D.
    """
    position = (guide * depth - 0.5).clamp(0, depth - 1)
    centres = torch.arange(depth, device=guide.device, dtype=guide.dtype).view(1, -1, 1, 1)
    return (1 - (position - centres).abs()).clamp_min(0)


def cell_sums(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sums of weighted values over the places of each cell: `(B, K, 64, 64)`, `(B, C, 64, 64)` to `(B, P, K, C)`."""
    left, right = _by_cell(weights), _by_cell(values)
    return left.transpose(2, 3) @ right


def _by_cell(x: torch.Tensor) -> torch.Tensor:
    """`(B, C, 64, 64)` to `(B, P, 16 places, C)`."""
    batch, channels, side = x.shape[0], x.shape[1], FINE // CELLS
    blocks = x.reshape(batch, channels, CELLS, side, CELLS, side)
    return blocks.permute(0, 2, 4, 3, 5, 1).reshape(batch, CELLS * CELLS, side * side, channels)


def region_shares(shares: torch.Tensor, mask: torch.Tensor, rounds: int = 2) -> torch.Tensor:
    """Which regions the pixels of each cell of the grid belong to.

    A cell that holds no pixel takes the shares of its neighbours, in depth and in the plane: slicing reads it for
    the pixels between two cells. The same blur keeps the borders between regions soft.

    Args:
        shares: of luma's D steps, `(B, D, 64, 64)`.
        mask: the regions, `(B, K, 64, 64)`.
        rounds: of blurring.

    Returns:
        `(B, K, D, 16, 16)`, sums to 1 over K, or to 0 where nothing is labelled.
    """
    sums = cell_sums(shares, mask)  # (B, P, D, K)
    volume = sums.permute(0, 3, 2, 1).reshape(sums.shape[0], mask.shape[1], shares.shape[1], CELLS, CELLS)
    plane = volume.sum(2, keepdim=True)
    for _ in range(rounds):
        volume = _blur(volume)
    # Where even the neighbours hold none: as in the cell at any luma. A little of that everywhere keeps pixels of one
    # texture, which differ in luma only, from taking different regions' looks.
    volume = volume + 0.1 * plane
    return volume / volume.sum(1, keepdim=True).clamp_min(1e-6)


def _blur(volume: torch.Tensor) -> torch.Tensor:
    """[1 2 1] / 4 along depth, height and width; borders repeat."""
    padded = F.pad(volume, (1, 1, 1, 1, 1, 1), mode="replicate")
    for dim in (2, 3, 4):
        size = padded.shape[dim] - 2
        padded = (padded.narrow(dim, 0, size) + 2 * padded.narrow(dim, 1, size) + padded.narrow(dim, 2, size)) / 4
    return padded


class RegionHead(nn.Module):
    """Tells regions apart where nobody gave a mask: the same soft classes in every photo, learned with the look.

    Args:
        num_regions: K.
        width: of the hidden layer.
    """

    def __init__(self, num_regions: int, width: int = 48) -> None:
        super().__init__()
        last = nn.Conv2d(width, num_regions, 1)
        with torch.no_grad():  # else every place would belong a little to every class, and none would be learned
            last.weight.mul_(3)
        self.layers = nn.Sequential(nn.Conv2d(2 * NUM_FEATURES + 2, width, 1), nn.ReLU(), last)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """`(B, 90, 64, 64)` to `(B, K, 64, 64)`, sums to 1 over K."""
        shares: torch.Tensor = self.layers(with_position(places)).float().softmax(1)
        return shares


def with_position(features: torch.Tensor) -> torch.Tensor:
    """Features, the same relative to their photo, and where they are: `(B, C, h, w)` to `(B, 2C + 2, h, w)`.

    Relative ones are the same by day and by night; absolute ones know grass from sky.
    """
    height, width = features.shape[-2:]
    centered = features - features.mean((-2, -1), keepdim=True)
    # The standard deviation; torch's own takes ten times as long on a CPU.
    spread = torch.linalg.vector_norm(centered, dim=(-2, -1), keepdim=True) / (height * width - 1) ** 0.5
    y = torch.linspace(-1, 1, height, device=features.device, dtype=features.dtype).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, width, device=features.device, dtype=features.dtype).view(1, 1, 1, -1)
    plane = features[:, :1]
    return torch.cat([features, centered / (spread + 0.1), y.expand_as(plane), x.expand_as(plane)], 1)
