"""Check the style photos, masks and weights that a caller passes, and combine them into one list."""

import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, SupportsFloat

import torch

from lookcast.checks import InputError, describe
from lookcast.paths import check_path
from lookcast.photos.adapters import AnyImage, open_image
from lookcast.photos.read import read_srgb
from lookcast.structures import StyleInput

Style = AnyImage | StyleInput | Sequence[AnyImage | StyleInput]
"""One style or a list of styles. A style is a photo, or a `StyleInput`: a photo with its mask and its weight."""


class EncodedStyle(NamedTuple):
    """A style photo, encoded for the generator.

    Attributes:
        statistics: the statistics that the generator computed from the photo.
        mask: soft mask of the photo, `(1, K, h, w)`, with one channel for each label, on the device of the generator;
            None if the photo has no mask.
        weight: share of the style in the mix. The weights of all styles sum to 1.
        source: the pixels of the photo `(1, H, W, 3)`, the mask as the caller gave it, and the weight. Refinement
            reads photo and mask again, at other sizes. None if the style is never used for refinement.
    """

    statistics: Any
    mask: torch.Tensor | None
    weight: float
    source: StyleInput | None = None


def style_inputs(
    style: Style,
    style_mask: Any = None,
    weights: Sequence[float] | None = None,
) -> list[StyleInput]:
    """Combine style photos, masks and weights into one list. `Stylizer.stylize` describes the arguments.

    Returns:
        The styles. Their weights sum to 1.

    Raises:
        InputError: there is no photo; the number of masks or weights differs from the number of photos; a style is a
            `StyleInput`, but `style_mask` or `weights` is given too; a weight is not a positive number; or the sum of
            the weights is infinite.
    """
    # Only a list or a tuple holds several styles. A `StyleInput` is a tuple, but holds one style.
    several = isinstance(style, list | tuple) and not isinstance(style, StyleInput)
    photos: Sequence[Any] = style if several else [style]  # type: ignore[assignment]
    if not photos:
        raise InputError("style: the list is empty")
    if any(isinstance(photo, StyleInput) for photo in photos) and not (style_mask is None and weights is None):
        raise InputError(f"{'weights' if style_mask is None else 'style_mask'}: given twice, also in a StyleInput")
    masks = style_mask if isinstance(style_mask, list | tuple) else [style_mask] if style_mask is not None else None
    masks = [None] * len(photos) if masks is None else masks
    if len(masks) != len(photos):
        raise InputError(f"style_mask: {len(masks)} for {len(photos)} style photos; each style photo needs one mask")
    if weights is None:
        weights = [1.0] * len(photos)
    elif isinstance(weights, str) or not isinstance(weights, Iterable):  # type: ignore[unreachable]
        raise InputError(f"weights: expected a list of numbers, got {describe(weights)}")
    if len(weights) != len(photos):
        raise InputError(f"weights: {len(weights)} for {len(photos)} style photos")
    styles = [
        photo if isinstance(photo, StyleInput) else StyleInput(photo, mask, weight)
        for photo, mask, weight in zip(photos, masks, weights, strict=True)
    ]
    shares = _shares([style.weight for style in styles])
    return [style._replace(weight=share) for style, share in zip(styles, shares, strict=True)]


def _shares(weights: Sequence[Any]) -> list[float]:
    """Divide weights by their sum."""
    numbers = [float(weight) if isinstance(weight, SupportsFloat) else math.nan for weight in weights]
    if not all(0 < number < math.inf for number in numbers):
        raise InputError(f"weights: expected positive numbers, got {', '.join(map(str, weights))}")
    total = sum(numbers)
    if total == math.inf:
        raise InputError(f"weights: their sum is beyond the largest number, {', '.join(f'{n:g}' for n in numbers)}")
    return [number / total for number in numbers]


def open_style(photo: AnyImage) -> torch.Tensor:
    """Return the pixels `(1, H, W, 3)` of one style photo. A photo file is read in 8 bits, as by `read_styles`.

    Raises:
        InputError: `photo` is not an image, is a batch of images, or is a file that can't be read.
    """
    if isinstance(photo, str | os.PathLike):
        photo = read_srgb(check_path(os.fspath(photo), "style"))
    pixels = open_image("style", photo).pixels
    if len(pixels) != 1:
        raise InputError(f"style: expected single photos, got a batch of {len(pixels)}; pass several photos as a list")
    return pixels


def check_strength(strength: float) -> float:
    """Check that a strength is in [0, 1], and return the strength as a float.

    Raises:
        InputError: the strength is not a number in [0, 1].
    """
    try:
        number = float(strength) if isinstance(strength, SupportsFloat) else math.nan
    except (TypeError, ValueError, RuntimeError):  # an array of several numbers, a tensor without values
        number = math.nan
    if not 0 <= number <= 1:
        raise InputError(f"strength: expected a number in [0, 1], got {strength!r}")
    return number
