"""Gram matrices by region, the statistics of the style loss."""

import torch

from lookcast.checks import InputError, check_shape
from lookcast.ops.masks import resize_mask
from lookcast.ops.precision import full_precision, no_autocast


def gram_matrix(features: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Return the second moments of the features in each region, with a constant channel.

    `G_k = sum_i m_ki f_i f_i^T / sum_i m_ki`, where f_i are the features of cell i followed by a 1. The last row and
    column therefore hold the mean of the region, and the last entry is 1. Three differences from Luan et al.: the
    constant channel; the division by the mass of the region (their sums grow with its area); the weight m of a soft
    mask (their product of masked features has the weight m^2; for hard masks the two are equal).

    Args:
        features: `(B, C, h, w)`.
        mask: `(B, K, H, W)`, resized to the features by area; None for one region.

    Returns:
        `(B, K, C + 1, C + 1)`; zeros for a region without mass.

    Raises:
        ShapeError: features or a mask of other dimensions or batch sizes.

    Reference:
        Luan et al. 2017, eq. 3a-3b.
    """
    check_shape("features", features, ("B", "C", "h", "w"))
    features = full_precision(features)
    cells = features.flatten(2)  # (B, C, h w): a view, in either memory format
    with no_autocast(features):
        if mask is None:
            return _moments(cells, cells, cells.new_full(cells.shape[:1], cells.shape[-1]))[:, None]
        check_shape("mask", mask, (features.shape[0], "K", "H", "W"))
        weight = resize_mask(mask.to(features.dtype), features.shape[-2:]).flatten(2)
        regions = [_moments(cells * weight[:, k, None], cells, weight[:, k].sum(-1)) for k in range(weight.shape[1])]
        return torch.stack(regions, 1)


def _moments(weighted: torch.Tensor, cells: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Return second moments and means in one matrix; appending the constant to the cells would copy every feature."""
    total = mass[:, None, None]
    second, first = weighted @ cells.transpose(1, 2), weighted.sum(-1, keepdim=True)
    sums = torch.cat([torch.cat([second, first], 2), torch.cat([first.transpose(1, 2), total], 2)], 1)
    return sums / total.masked_fill(total == 0, 1.0)  # not a tiny number: its reciprocal would overflow in the gradient


def relative_distance(gram: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the scale-free distance of Gram matrices: `|G - T| / |T|` in the Frobenius norm.

    No tap and no region dominates because its features are large. Unlike the gradient of a square, the gradient does
    not vanish near the target.

    Args:
        gram: G, `(..., C, C)`.
        target: T, `(..., C, C)`; leading dimensions broadcast.

    Returns:
        `(...)`.
    """
    if gram.shape[-2:] != target.shape[-2:]:
        raise InputError(f"gram: expected matrices of {tuple(target.shape[-2:])}, got {tuple(gram.shape[-2:])}")
    # The root's slope at 0 is infinite: 1e-12 keeps the gradient of a perfect match at 0.
    difference = (gram - target).square().sum((-2, -1)).add(1e-12).sqrt()
    return difference / target.square().sum((-2, -1)).sqrt().clamp_min(1e-6)
