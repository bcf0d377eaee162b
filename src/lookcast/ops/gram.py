"""Gram matrices of regions: the statistics that the style loss compares."""

import torch

from lookcast.checks import InputError, check_floating, check_shape
from lookcast.ops.masks import resize_mask
from lookcast.ops.precision import full_precision, no_autocast


def gram_matrix(features: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Return one Gram matrix per region: the second moments of the features and of a constant channel.

    `G_k = sum_i m_ki f_i f_i^T / sum_i m_ki`. The vector f_i holds the features of cell i, followed by a 1, and m_ki is
    the value of mask k in cell i. The last row and column of G_k therefore hold the mean features of region k, and the
    last entry is 1. This definition differs from Luan et al. in three points:

    * f_i has a constant channel.
    * G_k is divided by the mass of the region, `sum_i m_ki`. The paper's sums grow with the area of the region.
    * A cell has the weight m_ki. The paper multiplies the features by the mask, which gives the weight m_ki^2. For hard
      masks, the two weights are equal.

    Args:
        features: `(B, C, h, w)`.
        mask: `(B, K, H, W)`, resized to (h, w) by area averages. None makes the whole photo one region.

    Returns:
        `(B, K, C + 1, C + 1)`; all zeros for a region that the mask leaves empty.

    Raises:
        ShapeError: `features` or `mask` has the wrong number of dimensions, or the batch sizes differ.
        InputError: `features` or `mask` is no floating point, or is empty.

    Reference:
        Luan et al. 2017, eq. 3a-3b.
    """
    check_shape("features", features, ("B", "C", "h", "w"))
    check_floating("features", features)
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
    """Return the Gram matrix of one region, `(B, C + 1, C + 1)`, as `gram_matrix` defines it.

    The second moments, the means and the constant are computed separately, because appending a constant channel to the
    cells would copy every feature.
    """
    total = mass[:, None, None]
    second, first = weighted @ cells.transpose(1, 2), weighted.sum(-1, keepdim=True)
    sums = torch.cat([torch.cat([second, first], 2), torch.cat([first.transpose(1, 2), total], 2)], 1)
    return sums / total.masked_fill(total == 0, 1.0)  # the reciprocal of a tiny number would overflow in the gradient


def relative_distance(gram: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the relative distance of Gram matrices, `|G - T| / |T|` in the Frobenius norm.

    Features are larger in some encoder layers and regions than in others. The division by |T| makes the distances
    comparable. The gradient of this distance does not vanish near the target, in contrast to the gradient of the
    squared distance.

    Args:
        gram: G, `(..., C, C)`.
        target: T, `(..., C, C)`; leading dimensions broadcast.

    Returns:
        `(...)`: one distance per pair of matrices.
    """
    if gram.shape[-2:] != target.shape[-2:]:
        raise InputError(f"gram: expected matrices of {tuple(target.shape[-2:])}, got {tuple(gram.shape[-2:])}")
    check_floating("gram", gram)
    check_floating("target", target)
    # The square root has an infinite slope at 0. The added 1e-12 makes the gradient of a perfect match 0.
    difference = (gram - target).square().sum((-2, -1)).add(1e-12).sqrt()
    return difference / target.square().sum((-2, -1)).sqrt().clamp_min(1e-6)
