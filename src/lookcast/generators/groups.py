"""The pixels of a photo that resemble each cell of the content, and colour maps between such groups."""

from typing import NamedTuple

import torch

from lookcast.generators.statistics import PhotoStatistics, cell_sums
from lookcast.ops.transport import knothe_rosenblatt


class Group(NamedTuple):
    """The pixels of a content or style photo that resemble each cell of the content.

    Attributes:
        moments: `(B, H, P, K, 10)`: the colour moments of the pixels, for every head, cell and region.
        weights: `(B, P, P)`: a row for each cell of the content, with the weight of each cell of the photo. The weights
            are averages over heads and regions.
    """

    moments: torch.Tensor
    weights: torch.Tensor


def group_of(attention: torch.Tensor, photo: PhotoStatistics, mask: torch.Tensor, own: torch.Tensor) -> Group:
    """For each cell of the content, collect the moments of its group in a photo.

    Args:
        attention: `(B, H, P, P)`: for each head and each cell of the content, the weights of the cells of the photo.
        photo: statistics of the content or style photo.
        mask: regions of the photo, `(B, K, 64, 64)`.
        own: regions of the content, `(B, K, 64, 64)`.
    """
    # A cell may attend only to cells outside its region. A hundredth of uniform attention keeps the sums positive.
    attention = 0.99 * attention + 0.01 / attention.shape[-1]
    sums = cell_sums(mask, photo.moments)  # (B, P, K, 10)
    moments = attention @ sums.flatten(2)[:, None]
    moments = moments.view(*moments.shape[:3], *sums.shape[2:])
    shares = cell_sums(own, torch.ones_like(own[:, :1]))[..., 0]  # (B, P, K)
    shares = shares / shares.sum(-1, keepdim=True).clamp_min(1e-6)
    mass = moments[..., 0].clamp_min(1e-8)
    weights = (shares[:, None] / mass) @ sums[..., 0].transpose(1, 2)[:, None] * attention
    return Group(moments, weights.mean(1))


def whole_maps(own: torch.Tensor, content: Group, style: Group, floor: torch.Tensor) -> torch.Tensor:
    """Return two maps that all cells have in common, `(B, 2, 1, K, 12)`: one for each region, then one for all.

    The moments are averages over the groups of all cells. A style that has more sky than the content therefore
    does not count its sky more.

    Args:
        own: regions of the content, `(B, K, 64, 64)`.
        content: the groups of all cells in the content.
        style: the groups of all cells in the style.
        floor: see `knothe_rosenblatt`.
    """
    shares = cell_sums(own, torch.ones_like(own[:, :1]))[..., 0][:, None, ..., None]  # (B, 1, P, K, 1)
    means = [group.moments / group.moments[..., :1].clamp_min(1e-8) for group in (content, style)]
    of_region = [(shares * mean).mean((1, 2), keepdim=True) for mean in means]  # (B, 1, 1, K, 10)
    of_all = [moments.sum(3, keepdim=True).expand_as(moments) for moments in of_region]
    moments, wanted = (torch.cat(pair, 1) for pair in zip(of_region, of_all, strict=True))
    return knothe_rosenblatt(moments, wanted, floor)
