"""Rules for regions of two photos: masks come in pairs, and a label absent from the style takes the whole style."""

import torch

from lookcast.checks import InputError, check_shape

MIN_SHARE = 0.005
"""A label on a smaller share of a photo counts as absent from it."""


def check_mask_pairing(
    content_mask: object, style_mask: object, names: tuple[str, str] = ("content_mask", "style_mask")
) -> None:
    """Refuse one mask without the other.

    Args:
        content_mask: a mask of any kind, such as a tensor or a path; None stands for no mask.
        style_mask: the same.
        names: the names of the two for the message.

    Raises:
        InputError: only one of them is None.
    """
    if (content_mask is None) != (style_mask is None):
        missing, given = names if content_mask is None else names[::-1]
        raise InputError(f"{missing}: missing, but {given} is given; masks come in pairs")


def check_mask_pair(content_mask: torch.Tensor | None, style_mask: torch.Tensor | None) -> None:
    """Refuse masks that do not belong together; the two may have different sizes.

    Args:
        content_mask: `(B, K, H, W)` in [0, 1], or None without masks.
        style_mask: `(1 or B, K, H', W')` in [0, 1], or None without masks.

    Raises:
        ShapeError: not four dimensions.
        InputError: one mask without the other, different numbers of labels, or no floating point.
    """
    check_mask_pairing(content_mask, style_mask)
    if content_mask is None or style_mask is None:
        return
    for name, mask in (("content_mask", content_mask), ("style_mask", style_mask)):
        check_shape(name, mask, ("B", "K", "H", "W"))
        if not mask.is_floating_point():
            raise InputError(f"{name}: expected floating point in [0, 1], got {mask.dtype}")
    if content_mask.shape[1] != style_mask.shape[1]:
        raise InputError(f"style_mask: has {style_mask.shape[1]} labels, content_mask has {content_mask.shape[1]}")


def label_shares(mask: torch.Tensor) -> torch.Tensor:
    """Return the share of the photo that each label covers: `(B, K, H, W)` to `(B, K)`."""
    return mask.mean((-2, -1))


def absent_labels(content_shares: torch.Tensor, style_shares: torch.Tensor) -> torch.Tensor:
    """Tell which labels of the content are absent from the style.

    A label is absent if the style has less of it than `MIN_SHARE`, and less of it than the content. The second
    condition keeps a label that is as rare in both photos.

    Args:
        content_shares: share of each label in the content, any shape.
        style_shares: share of each label in the style, a shape that broadcasts.

    Returns:
        bool, the broadcast shape.
    """
    return style_shares < content_shares.clamp_max(MIN_SHARE)


def fall_back(regions: torch.Tensor, whole: torch.Tensor, style_shares: torch.Tensor) -> torch.Tensor:
    """Replace the statistics of every label that is absent from the style by those of the whole style photo.

    A target of zeros would turn the region black. Without a target, it would stay unchanged among restyled regions.

    Args:
        regions: statistics of each region of the style, `(B, K, ...)`.
        whole: the same statistics of the whole photo, `(B, 1, ...)`.
        style_shares: share of each label in the style, `(B, K)`.

    Returns:
        `(B, K, ...)`.
    """
    present = style_shares >= MIN_SHARE
    return torch.where(present.view(*present.shape, *(1,) * (regions.dim() - 2)), regions, whole)


def mean_over_labels(values: torch.Tensor, content_shares: torch.Tensor) -> torch.Tensor:
    """Average over the labels of the content, weighted by their areas: `sum_k w_k v_k / sum_k w_k`.

    Labels below `MIN_SHARE` have the weight 0.

    Args:
        values: one value per label, `(B, K)`.
        content_shares: share of each label in the content, `(B, K)`.

    Returns:
        `(B,)`; 0 where no label is present.
    """
    weights = content_shares * (content_shares >= MIN_SHARE)
    return (values * weights).sum(1) / weights.sum(1).clamp_min(MIN_SHARE)
