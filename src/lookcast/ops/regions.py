"""Rules for the regions of a content photo and a style photo.

Masks come in pairs. A label that is absent from the style uses the statistics of the whole style photo.
"""

import torch

from lookcast.checks import InputError, check_floating
from lookcast.ops.masks import check_soft_mask

MIN_SHARE = 0.005
"""Minimum share of a photo that a label must cover to count as present."""


def check_mask_pairing(
    content_mask: object, style_mask: object, names: tuple[str, str] = ("content_mask", "style_mask")
) -> None:
    """Refuse one mask without the other.

    Args:
        content_mask: a mask of any kind, such as a tensor or a path; None stands for no mask.
        style_mask: a mask of any kind; None stands for no mask.
        names: names of the two masks in the error message.

    Raises:
        InputError: only one of the two masks is None.
    """
    if (content_mask is None) != (style_mask is None):
        missing, given = names if content_mask is None else names[::-1]
        raise InputError(f"{missing}: missing, but {given} is given; masks come in pairs")


def check_mask_pair(content_mask: torch.Tensor | None, style_mask: torch.Tensor | None) -> None:
    """Refuse a content mask and a style mask that do not fit together.

    The two masks may have different sizes.

    Args:
        content_mask: `(B, K, H, W)` in [0, 1]; None stands for no mask.
        style_mask: `(1 or B, K, H', W')` in [0, 1]; None stands for no mask.

    Raises:
        ShapeError: a mask does not have four dimensions.
        InputError: only one mask is given, the numbers of labels differ, or a mask is empty or not floating point.
    """
    check_mask_pairing(content_mask, style_mask)
    if content_mask is None or style_mask is None:
        return
    for name, mask in (("content_mask", content_mask), ("style_mask", style_mask)):
        check_soft_mask(name, mask)
    if content_mask.shape[1] != style_mask.shape[1]:
        raise InputError(f"style_mask: has {style_mask.shape[1]} labels, content_mask has {content_mask.shape[1]}")


def label_shares(mask: torch.Tensor) -> torch.Tensor:
    """Return the share of the photo that each label covers, `(B, K)`, from a mask `(B, K, H, W)`."""
    check_soft_mask("mask", mask)
    return mask.mean((-2, -1))


def absent_labels(content_shares: torch.Tensor, style_shares: torch.Tensor) -> torch.Tensor:
    """Return which labels of the content are absent from the style.

    A label is absent if its share in the style is below `MIN_SHARE` and also below its share in the content. The second
    condition keeps a label that is equally rare in both photos.

    Args:
        content_shares: share of each label in the content, any shape.
        style_shares: share of each label in the style, in a shape that broadcasts with `content_shares`.

    Returns:
        Boolean tensor of the broadcast shape, True for absent labels.
    """
    return style_shares < content_shares.clamp_max(MIN_SHARE)


def fall_back(regions: torch.Tensor, whole: torch.Tensor, style_shares: torch.Tensor) -> torch.Tensor:
    """Replace the statistics of labels that the style lacks by the statistics of the whole style photo.

    Two simpler rules would be worse. A target of zeros would turn the region black. A region without a target would
    stay unchanged among restyled regions.

    Args:
        regions: statistics of each region of the style, `(B, K, ...)`.
        whole: statistics of the whole style photo, `(B, 1, ...)`.
        style_shares: share of each label in the style, `(B, K)`.

    Returns:
        Statistics of each region, `(B, K, ...)`.

    Raises:
        InputError: the statistics are no floating point, or are empty.
    """
    check_floating("regions", regions)
    check_floating("whole", whole)
    present = style_shares >= MIN_SHARE
    return torch.where(present.view(*present.shape, *(1,) * (regions.dim() - 2)), regions, whole)


def mean_over_labels(values: torch.Tensor, content_shares: torch.Tensor) -> torch.Tensor:
    """Return the mean of the labels' values, weighted by area: `sum_k w_k v_k / sum_k w_k`.

    v_k is the value of label k. The weight w_k is the share of label k in the content, or 0 if this share is below
    `MIN_SHARE`.

    Args:
        values: one value per label, `(B, K)`.
        content_shares: share of each label in the content, `(B, K)`.

    Returns:
        `(B,)`; 0 for a photo without a present label.
    """
    check_floating("values", values)
    check_floating("content_shares", content_shares)
    weights = content_shares * (content_shares >= MIN_SHARE)
    return (values * weights).sum(1) / weights.sum(1).clamp_min(MIN_SHARE)
