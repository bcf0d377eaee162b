"""Statistics of the cells of a photo, for the universal generator."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from lookcast.ops.bilateral.reference import cell_position, tent_weight
from lookcast.ops.color import luma
from lookcast.ops.masks import blur_mask, resize_mask
from lookcast.ops.precision import full_precision
from lookcast.ops.resize import shrink_to_side
from lookcast.ops.transport import color_moments
from lookcast.structures import Features

CELLS = 16
"""Number of cells per side: the resolution of the attention and of the grid."""
PLACES = 64
"""Number of places per side. A place is an element of a 64 x 64 map. A cell consists of 4x4 places."""
TONE_SIDE = 128
"""Maximum side of the thumbnail from which tones are computed, in pixels."""
TAP_CHANNELS = (10, 15, 38, 27)
"""Number of channels of each tap of the compact encoder, relu1_1 to relu4_1."""
NUM_FEATURES = sum(TAP_CHANNELS)


class PhotoStatistics(NamedTuple):
    """Statistics of a photo.

    P is the number of cells, 16 x 16, counted row by row. D is the depth of the grid, which divides luma into D steps.

    Attributes:
        thumbnail: the thumbnail `(B, 3, S, S)` of the photo, from which all statistics are computed.
        places: features of each place, `(B, 90, 64, 64)`.
        cells: features of each cell, `(B, 90, 16, 16)`.
        statistics: `(B, P, 2 * 90 + D)`: for each cell, its features, then its squared features, then its luma shares.
            Attention computes weighted averages of these values.
        moments: colour moments of each place (`color_moments`), `(B, 10, 64, 64)`.
        shares: `(B, D, 64, 64)`: for each place, the share of its pixels in each of the D luma steps.
        tones: `(B, T, 4, 64, 64)`: for each of T luma steps and each place, the share of the place's pixels in the
            step, then this share times their mean colour. None for a generator without `ToneTransfer`.
        mask: the given mask, resized to the places and blurred, `(B, K, 64, 64)`; None for a photo without a mask.
        classes: the predicted regions of each place, `(B, K, 64, 64)`; None for a photo with a mask, and None before
            the prediction.
    """

    thumbnail: torch.Tensor
    places: torch.Tensor
    cells: torch.Tensor
    statistics: torch.Tensor
    moments: torch.Tensor
    shares: torch.Tensor
    tones: torch.Tensor | None
    mask: torch.Tensor | None
    classes: torch.Tensor | None = None


def photo_statistics(
    thumbnail: torch.Tensor,
    features: Features,
    mask: torch.Tensor | None,
    depth: int,
    tone_steps: int = 0,
    mask_blur: int = 0,
) -> PhotoStatistics:
    """Compute the statistics of a photo from its thumbnail.

    Args:
        thumbnail: `(B, 3, S, S)`, S a power of two, at least 64.
        features: the features of the thumbnail from the encoder.
        mask: `(B, K, H, W)` of any size; None stands for no mask.
        depth: D, the depth of the grid.
        tone_steps: T, the number of luma steps of the tones; 0 for no tones.
        mask_blur: the radius by which masks are blurred, in places (`blur_mask`). Where two regions change in different
            ways, soft borders make weaker halos, and a border that misses an edge does less harm.
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
        tones=_tones(thumbnail, tone_steps) if tone_steps else None,
        mask=None if mask is None else blur_mask(resize_mask(mask.to(places.dtype), size), mask_blur),
    )


def _tones(thumbnail: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the tones of each place, `(B, T, 4, 64, 64)`; see `PhotoStatistics`."""
    small = shrink_to_side(thumbnail, min(thumbnail.shape[-1], TONE_SIDE))
    weighed = torch.cat([torch.ones_like(small[:, :1]), small], 1)
    values = depth_shares(luma(small), steps)[:, :, None] * weighed[:, None]
    return shrink_to_side(values.flatten(1, 2), PLACES).view(-1, steps, 4, PLACES, PLACES)


def depth_shares(guide: torch.Tensor, depth: int) -> torch.Tensor:
    """Return, for every pixel, the weights with which slicing interpolates the D cells along the depth of the grid.

    Args:
        guide: `(B, 1, H, W)` in [0, 1].
        depth: D.

    Returns:
        `(B, D, H, W)`; the weights of a pixel sum to 1 over D.
    """
    centres = torch.arange(depth, device=guide.device, dtype=guide.dtype).view(1, -1, 1, 1)
    return tent_weight(cell_position(guide, depth), centres)


def cell_sums(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sum weighted values over the places of each cell.

    Weights `(B, K, 64, 64)` and values `(B, C, 64, 64)` give sums `(B, P, K, C)`: in each of the P cells, one sum for
    each pair of a weight channel and a value channel.
    """
    left, right = by_cell(weights), by_cell(values)
    return left.transpose(2, 3) @ right


def by_cell(x: torch.Tensor) -> torch.Tensor:
    """Group the places of each cell: `(B, C, 64, 64)` becomes `(B, P, 16, C)`, with 16 places in each cell."""
    batch, channels, side = x.shape[0], x.shape[1], PLACES // CELLS
    blocks = x.reshape(batch, channels, CELLS, side, CELLS, side)
    return blocks.permute(0, 2, 4, 3, 5, 1).reshape(batch, CELLS * CELLS, side * side, channels)


def with_position(features: torch.Tensor) -> torch.Tensor:
    """Append the standardised features and the position: `(B, C, h, w)` becomes `(B, 2 * C + 2, h, w)`.

    Features are standardised with their mean and standard deviation in each photo. Standardised features hardly depend
    on the light, so they match a day photo with a night photo. The original features distinguish grass from sky.
    """
    _, centered, spread = standardised(features)
    position = positions(features).expand(features.shape[0], -1, -1, -1)
    return torch.cat([features, centered / spread, position], 1)


def standardised(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what standardises features `(B, C, h, w)`.

    Returns:
        The mean of each channel, `(B, C, 1, 1)`; the features minus the mean; and the divisor of this difference,
        `(B, C, 1, 1)`: the standard deviation plus .1.
    """
    mean = features.mean((-2, -1), keepdim=True)
    centered = features - mean
    # The standard deviation. torch.std takes ten times as long on a CPU.
    spread = torch.linalg.vector_norm(centered, dim=(-2, -1), keepdim=True) / (features[0, 0].numel() - 1) ** 0.5
    return mean, centered, spread + 0.1


def positions(features: torch.Tensor) -> torch.Tensor:
    """Return the position of each element of features `(B, C, h, w)`: y and x in [-1, 1], `(1, 2, h, w)`."""
    ends = (torch.linspace(-1, 1, n, device=features.device, dtype=features.dtype) for n in features.shape[-2:])
    return torch.stack(torch.meshgrid(*ends, indexing="ij"))[None]


def group_summary(weights: torch.Tensor, photo: PhotoStatistics) -> torch.Tensor:
    """Summarise P groups of cells for the residual blocks.

    The summary of a group contains the means and standard deviations of the features and colours, and the luma shares.

    Args:
        weights: `(B, P, P)`: for each group, a row with the weights of the photo's cells.
        photo: statistics of the photo.

    Returns:
        `(B, 2 * 90 + D + 6, 16, 16)`.
    """
    statistics = weights @ photo.statistics
    moments = weights @ F.avg_pool2d(photo.moments, PLACES // CELLS).flatten(2).transpose(1, 2)
    mean, square = statistics[..., :NUM_FEATURES], statistics[..., NUM_FEATURES : 2 * NUM_FEATURES]
    spread = (square - mean.square()).clamp_min(1e-4).sqrt()
    center = moments[..., 1:4]
    deviation = (torch.stack([moments[..., n] for n in (4, 7, 9)], -1) - center.square()).clamp_min(1e-5).sqrt()
    # The factors scale all values to the order of 1.
    return to_plane(torch.cat([mean, spread, 8 * statistics[..., 2 * NUM_FEATURES :], 4 * center, 8 * deviation], -1))


def to_plane(cells: torch.Tensor) -> torch.Tensor:
    """Arrange cells in a plane: `(B, P, C)` becomes `(B, C, 16, 16)`."""
    return cells.transpose(1, 2).reshape(cells.shape[0], -1, CELLS, CELLS)
