"""The style photos of a call: one or several, with masks and weights, and whether they fit the content."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch

from lookcast.checks import InputError, check_mask
from lookcast.generators.regions import Reading
from lookcast.inference.image_kinds import AnyImage, open_image
from lookcast.ops.masks import MIN_SHARE, NUM_LABELS, PALETTE

logger = logging.getLogger(__name__)


class StylePhoto(NamedTuple):
    """One style photo.

    Attributes:
        image: `(1, 3, h, w)` in [0, 1].
        weight: its share in the mix.
        mask: its regions, `(1, K, h, w)`; None without.
    """

    image: torch.Tensor
    weight: float
    mask: torch.Tensor | None


class Look(NamedTuple):
    """One style photo, read.

    Attributes:
        reading: what the generator needs of it.
        weight: its share in the mix.
        mask: its regions `(1, K, h, w)`; None without.
    """

    reading: Reading
    weight: float
    mask: torch.Tensor | None


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
        image = open_image("style", photo).tensor
        if len(image) != 1:
            raise InputError(f"style: expected single photos, got a batch of {len(image)}; several go into a list")
        if mask is not None:
            check_mask("style_mask", mask, image)
        photos.append(StylePhoto(image, share, mask))
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


def check_pairing(content_mask: torch.Tensor | None, looks: Sequence[Look], content: torch.Tensor) -> None:
    """Masks come for both photos, with the same labels; names the labels that fall back.

    Raises:
        InputError: they do not fit.
    """
    if content_mask is not None:
        check_mask("content_mask", content_mask, content)
    for look in looks:
        if (look.mask is None) != (content_mask is None):
            name, other = ("style_mask", "content_mask") if look.mask is None else ("content_mask", "style_mask")
            raise InputError(f"{name}: missing, but {other} is given; masks come in pairs")
        if content_mask is None or look.mask is None:
            continue
        if look.mask.shape[1] != content_mask.shape[1]:
            raise InputError(f"style_mask: has {look.mask.shape[1]} labels, content_mask has {content_mask.shape[1]}")
        here, there = content_mask.mean((0, 2, 3)), look.mask.mean((0, 2, 3))
        for label in ((here >= MIN_SHARE) & (there < MIN_SHARE)).nonzero()[:, 0].tolist():
            name = PALETTE[label][0] if len(here) == NUM_LABELS else f"label {label}"
            logger.warning(
                "%s covers %.0f %% of the content and is not in the style: it takes the look of the whole style photo",
                name, 100 * here[label],
            )  # fmt: skip
