"""Gram matrices by region: the statistics that the style loss compares."""

import torch

from lookcast.checks import InputError, check_shape
from lookcast.ops.masks import resize_mask


def gram_matrix(features: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Second moments of the features in each region, a constant channel included.

    `G_k = sum_i m_ki f_i f_i^T / sum_i m_ki`, f_i the features of cell i followed by a 1: the last row and column
    therefore hold the region's mean, the last entry is 1. Differs from Luan et al. in the constant channel, in the
    division by the region's mass (their sums grow with the area of a region), and in that a soft mask weighs each
    cell's outer product once (their product of masked features would weigh it by m^2; for hard masks it is the same).

    Args:
        features: `(B, C, h, w)`.
        mask: `(B, K, H, W)`, resized to the features by area; None stands for one region.

    Returns:
        `(B, K, C + 1, C + 1)`; zeros for a region without mass.

    Raises:
        ShapeError: features or mask of another dimension or batch.

    Reference:
        Luan et al. 2017, eq. 3a-3b.
    """
    check_shape("features", features, ("B", "C", "h", "w"))
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    cells = features.flatten(2)  # (B, C, h w): a view, in either memory format
    with torch.autocast(features.device.type, enabled=False):
        if mask is None:
            return _moments(cells, cells, cells.new_full(cells.shape[:1], cells.shape[-1]))[:, None]
        check_shape("mask", mask, (features.shape[0], "K", "H", "W"))
        weight = resize_mask(mask.to(features.dtype), features.shape[-2:]).flatten(2)
        regions = [_moments(cells * weight[:, k, None], cells, weight[:, k].sum(-1)) for k in range(weight.shape[1])]
        return torch.stack(regions, 1)


def _moments(weighted: torch.Tensor, cells: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Second moments and means in one matrix; joining the constant to the cells instead would copy every feature."""
    total = mass[:, None, None]
    second, first = weighted @ cells.transpose(1, 2), weighted.sum(-1, keepdim=True)
    sums = torch.cat([torch.cat([second, first], 2), torch.cat([first.transpose(1, 2), total], 2)], 1)
    return sums / total.masked_fill(total == 0, 1.0)  # not a tiny number: its reciprocal would overflow in the gradient


def relative_distance(gram: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Scale-free distance of Gram matrices: `|G - T| / |T|` in the Frobenius norm.

    No tap and no region dominates because its features are large. Its gradient does not fade near the target, as
    that of a square would.

    Args:
        gram: G, `(..., C, C)`.
        target: T, `(..., C, C)`, or dimensions in front that broadcast.

    Returns:
        `(...)`.
    """
    if gram.shape[-2:] != target.shape[-2:]:
        raise InputError(f"gram: expected matrices of {tuple(target.shape[-2:])}, got {tuple(gram.shape[-2:])}")
    # The root's slope at 0 is infinite: 1e-12 keeps the gradient of a perfect match at 0.
    difference = (gram - target).square().sum((-2, -1)).add(1e-12).sqrt()
    return difference / target.square().sum((-2, -1)).sqrt().clamp_min(1e-6)
