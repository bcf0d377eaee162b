"""The style photos of a call: one or several, with masks and weights, and whether they fit the content."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from lookcast.checks import InputError, check_shape
from lookcast.ops.masks import NUM_LABELS, PALETTE, check_aspect
from lookcast.ops.regions import MIN_SHARE
from lookcast.photos.adapters import AnyImage, open_image

_ROUNDING = 1e-3  # what resizing a mask may add

logger = logging.getLogger(__name__)


class StylePhoto(NamedTuple):
    """One style photo.

    Attributes:
        pixels: `(1, h, w, 3)`, see `OpenedImage`.
        weight: its share in the mix.
        mask: its regions, `(1, K, h, w)`; None without.
    """

    pixels: torch.Tensor
    weight: float
    mask: torch.Tensor | None


class EncodedStyle(NamedTuple):
    """One style photo, read.

    Attributes:
        reading: what the generator keeps of it.
        weight: its share in the mix.
        mask: its regions `(1, K, h, w)`; None without.
    """

    reading: Any
    weight: float
    mask: torch.Tensor | None


def check_mask_fits(name: str, mask: torch.Tensor, pixels: torch.Tensor) -> None:
    """A mask may be smaller or larger than its photo `(B, H, W, 3)`, but not of another aspect ratio.

    Raises:
        InputError: another shape, without labels or pixels, or no floating point in [0, 1].
    """
    check_shape(name, mask, (len(pixels), "K", "h", "w"))
    if not mask.numel():
        raise InputError(f"{name}: has no labels or no pixels, its shape is {tuple(mask.shape)}")
    if not mask.is_floating_point():
        raise InputError(f"{name}: expected floating point in [0, 1], got {mask.dtype}")
    low, high = (value.item() for value in mask.aminmax())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # written so that NaN is refused
        raise InputError(f"{name}: masks are in [0, 1], this one goes from {low:g} to {high:g}")
    (mask_height, mask_width), (height, width) = mask.shape[-2:], pixels.shape[1:3]
    check_aspect(name, (mask_height, mask_width), (height, width))


def list_styles(
    style: AnyImage | Sequence[AnyImage],
    style_mask: torch.Tensor | Sequence[torch.Tensor] | None,
    weights: Sequence[float] | None,
) -> list[StylePhoto]:
    """Style photos with their masks and weights; see `Stylizer.stylize`.

    Raises:
        InputError: no photo, a batch of several, or masks or weights that do not fit.
    """
    # A numpy array and a tensor are sequences of rows, but no collections of photos.
    styles: list[AnyImage] = [*style] if isinstance(style, list | tuple) else [style]  # type: ignore[list-item]
    masks: list[torch.Tensor | None]
    if isinstance(style_mask, list | tuple):
        masks = [*style_mask]
    else:
        masks = [None] * len(styles) if style_mask is None else [style_mask]  # type: ignore[list-item]
    if not styles:
        raise InputError("style: the list is empty")
    if len(masks) != len(styles):
        raise InputError(f"style_mask: {len(masks)} for {len(styles)} style photos; each needs its own")
    photos = []
    for photo, mask, share in zip(styles, masks, _shares(weights, len(styles)), strict=True):
        pixels = open_image("style", photo).pixels
        if len(pixels) != 1:
            raise InputError(f"style: expected single photos, got a batch of {len(pixels)}; several go into a list")
        if mask is not None:
            check_mask_fits("style_mask", mask, pixels)
        photos.append(StylePhoto(pixels, share, mask))
    return photos


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """Weights that sum to 1."""
    if weights is None:
        return [1 / max(count, 1)] * count
    if len(weights) != count:
        raise InputError(f"weights: {len(weights)} for {count} style photos")
    if not all(0 < weight < float("inf") for weight in weights):
        raise InputError(f"weights: expected positive numbers, got {', '.join(f'{weight:g}' for weight in weights)}")
    return [weight / sum(weights) for weight in weights]


def pair_masks(
    content_mask: torch.Tensor | Sequence[torch.Tensor] | None, looks: Sequence[EncodedStyle], content: torch.Tensor
) -> list[torch.Tensor | None]:
    """The content's mask for each look; masks come for both photos, with the same labels.

    Labels that fall back, because the style lacks them, are named in the log.

    Args:
        content_mask: one for all looks, or one for each.
        looks: none for a single-look generator.
        content: pixels `(B, H, W, 3)`.

    Raises:
        InputError: they do not fit.
    """
    content_masks: list[torch.Tensor | None]
    several = isinstance(content_mask, list | tuple)
    content_masks = [*content_mask] if several else [content_mask] * len(looks)  # type: ignore[misc, list-item]
    if len(content_masks) != len(looks):
        many = f"{len(content_masks)} for {len(looks)} style photos"
        raise InputError(f"content_mask: {many}; one for all, or one for each")
    for content_mask, look in zip(content_masks, looks, strict=True):
        if content_mask is None and look.mask is None:
            continue
        if content_mask is None or look.mask is None:
            missing, given = ("style_mask", "content_mask") if look.mask is None else ("content_mask", "style_mask")
            raise InputError(f"{missing}: missing, but {given} is given; masks come in pairs")
        check_mask_fits("content_mask", content_mask, content)
        if look.mask.shape[1] != content_mask.shape[1]:
            raise InputError(f"style_mask: has {look.mask.shape[1]} labels, content_mask has {content_mask.shape[1]}")
        here, there = content_mask.mean((0, 2, 3)), look.mask.mean((0, 2, 3))
        for label in ((here >= MIN_SHARE) & (there < MIN_SHARE)).nonzero()[:, 0].tolist():
            logger.warning(
                "%s covers %.0f %% of the content and is not in the style: it takes the look of the whole style photo",
                PALETTE[label][0] if len(here) == NUM_LABELS else f"label {label}",
                100 * here[label],
            )
    return content_masks
