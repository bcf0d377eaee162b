"""Regions of a photo without a mask, and the shares of regions in the cells of the grid."""

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.encoders.scenes import SceneClasses
from lookcast.generators.statistics import (
    CELLS,
    NUM_FEATURES,
    PLACES,
    PhotoStatistics,
    by_cell,
    cell_sums,
    positions,
    standardised,
)
from lookcast.ops.precision import full_precision, no_autocast
from lookcast.ops.resize import thumbnail_of

SCENE_THUMBNAIL = 128
"""Side of the thumbnail in which `SceneRegions` recognises scenes, in pixels."""
COMMON_SHARE = 0.1
"""Share of the style at which a class counts fully."""
LEAST = 1e-6
"""Minimum weight of a class, so that a place that shows nothing else keeps its class."""


class SceneRegions(nn.Module):
    """Regions of a photo without a mask: kinds of scenes, such as sky, which a frozen network recognises."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = SceneClasses()

    def forward(self, photo: PhotoStatistics) -> torch.Tensor:
        """Return the probabilities of the classes at the places, `(B, 9, 64, 64)`, from the thumbnail of a photo."""
        with torch.no_grad(), no_autocast(photo.thumbnail):  # training and inference see the same regions
            found: torch.Tensor = self.classes(thumbnail_of(photo.thumbnail, SCENE_THUMBNAIL), PLACES)
            return found


class RegionHead(nn.Module):
    """Network that predicts the regions of a photo without a mask.

    The regions are soft classes, and every photo has the same classes. The network is trained with the generator.

    Args:
        num_regions: K, number of classes.
        width: number of channels of the hidden layer.
    """

    def __init__(self, num_regions: int, width: int = 48) -> None:
        super().__init__()
        last = nn.Conv2d(width, num_regions, 1)
        with torch.no_grad():  # if all classes started with equal probabilities, training would not separate them
            last.weight.mul_(3)
        self.layers = nn.Sequential(nn.Conv2d(2 * NUM_FEATURES + 2, width, 1), nn.ReLU(), last)

    def forward(self, photo: PhotoStatistics) -> torch.Tensor:
        """Return the probabilities of the classes at the places, `(B, K, 64, 64)`, from the features of the places.

        The result equals `layers(with_position(places))`, in two thirds of the time. The first layer is linear, so its
        weights can contain the factors that standardise the features, and no features are copied.
        """
        first, _, last = self.layers
        assert isinstance(first, nn.Conv2d)
        assert first.bias is not None
        places = photo.places
        mean, centered, spread = standardised(places)
        plain, relative, position = torch.split(first.weight.flatten(1), [NUM_FEATURES, NUM_FEATURES, 2], 1)
        weight = plain + relative / spread.flatten(2).transpose(1, 2)
        offset = plain @ mean.flatten(2) + first.bias[:, None] + position @ positions(places).flatten(2)
        hidden = torch.baddbmm(offset, weight, centered.flatten(2)).relu()
        return full_precision(last(hidden.view(*hidden.shape[:2], *places.shape[2:]))).softmax(1)


def common_classes(content: torch.Tensor, style: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower the probability of classes that are rare in the style, in both photos.

    Otherwise, the places of such a class would take the colours of a few places of the style that hardly resemble them.
    They now go to their next probable class.

    Args:
        content: probabilities of the classes of the content, `(B, K, 64, 64)`.
        style: the same for the style, `(1 or B, K, 64, 64)`.

    Returns:
        Both, weighted by `min(1, share / .1) ^ 2` with the share of the class in the style, at least 1e-6, and
        normalised.
    """
    present = (style.mean((2, 3), keepdim=True) / COMMON_SHARE).clamp(max=1).square().clamp_min(LEAST)
    content, style = content * present, style * present
    return content / content.sum(1, keepdim=True), style / style.sum(1, keepdim=True)


def region_sizes(mask: torch.Tensor) -> torch.Tensor:
    """Return the size of each region in each cell, in places: masks `(B, K, 64, 64)` give `(B, P, K)`."""
    return by_cell(mask).sum(2)


def region_shares(shares: torch.Tensor, mask: torch.Tensor, rounds: int = 3) -> torch.Tensor:
    """Return, for each cell of the grid, the share of its pixels that lies in each region.

    A blur along depth, height and width gives a cell without pixels the shares of its neighbours. A cell without pixels
    needs shares too, because slicing interpolates between neighbouring cells. The blur also softens the borders between
    regions.

    Args:
        shares: `(B, D, 64, 64)`: for each place, the share of its pixels in each of the D luma steps.
        mask: the regions, `(B, K, 64, 64)`.
        rounds: number of blurs.

    Returns:
        `(B, K, D, 16, 16)`; the shares of a cell sum to 1 over K, or to 0 in an unlabelled area.
    """
    sums = cell_sums(shares, mask)  # (B, P, D, K)
    volume = sums.permute(0, 3, 2, 1).reshape(sums.shape[0], mask.shape[1], shares.shape[1], CELLS, CELLS)
    plane = volume.sum(2, keepdim=True)
    for _ in range(rounds):
        volume = blur_volume(volume)
    # Add a small part of the sum over all luma steps to every cell. A cell without pixels near it then gets the shares
    # of this sum. A larger part would give the bright sky beside a dark skyline the transform of the buildings: a glow.
    volume = volume + 0.02 * plane
    return volume / volume.sum(1, keepdim=True).clamp_min(1e-6)


def blur_volume(volume: torch.Tensor) -> torch.Tensor:
    """Blur a volume `(B, C, D, H, W)` along depth, height and width by [1 2 1] / 4, with replicated borders."""
    padded = F.pad(volume, (1,) * 6, mode="replicate")
    return F.avg_pool3d(F.avg_pool3d(padded, 2, 1), 2, 1)  # the means of two neighbours, twice
