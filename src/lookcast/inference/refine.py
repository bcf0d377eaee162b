"""Refinement of predicted grids: a few steps of the per-image optimisation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from lookcast.checks import check_integer
from lookcast.generators import PairGenerator, UniversalGenerator
from lookcast.generators.regions import common_classes
from lookcast.inference.masks import Masks, one_for_each, open_mask
from lookcast.inference.styles import EncodedStyle
from lookcast.ops.resize import resize_pixels
from lookcast.structures import StyleInput

if TYPE_CHECKING:  # the losses import all of kornia, which photos without refinement do not need
    from lookcast.fitting.look_fit import LookFit

MASK_SIDE = 256
"""Maximum side of the masks that the losses compare. The generator reads coarser masks."""


def open_refine(refine: "int | LookFit") -> "LookFit | None":
    """Return the fit for an argument `refine`: a `LookFit`, or a number of steps with `refine_loss`; None for 0 steps.

    Raises:
        InputError: `refine` is neither a `LookFit` nor an integer from 0 to 10,000.
    """
    if type(refine) is int and refine == 0:
        return None
    from lookcast.fitting.look_fit import MAX_STEPS, LookFit
    from lookcast.fitting.losses import refine_loss

    if isinstance(refine, LookFit):
        return refine
    check_integer("refine", refine, 0, MAX_STEPS)
    return LookFit(refine_loss(refine), refine, tolerance=0.0)


def refine_grid(
    fit: "LookFit",
    generator: PairGenerator,
    grid: torch.Tensor,
    pixels: torch.Tensor,
    content_mask: Masks | None,
    styles: Sequence[EncodedStyle],
) -> torch.Tensor:
    """Refine the grids of a batch of photos, one photo after another.

    Without masks, the losses compare the classes of scenes that the generator finds, or whole photos if it finds none.

    Args:
        fit: the settings of the fit.
        generator: the generator that predicted the grids.
        grid: the predicted grids, `(B, 12, D, GH, GW)`.
        pixels: the content photos, `(B, H, W, 3)`, on the device of the generator.
        content_mask: see `Stylizer.stylize`. The masks have passed the checks of `place_masks`.
        styles: the encoded styles.

    Returns:
        The refined grids, `(B, 12, D, GH, GW)`.
    """
    sources = [_small_style(style, grid.device, fit.max_side) for style in styles]
    masks = [
        None if mask is None else open_mask("content_mask", mask, pixels, grid.device, MASK_SIDE)
        for mask in one_for_each(content_mask, len(styles))
    ]
    refined = []
    for number, photo in enumerate(pixels):
        own = [None if mask is None else mask[number : number + 1] for mask in masks]
        classes = _scenes(generator, photo) if any(mask is None for mask in own) else None
        pairs = [_compared(*pair, classes) for pair in zip(own, sources, styles, strict=True)]
        content = _small_photo(photo, grid.device, fit.max_side)
        inputs, compared = [source for source, _ in pairs], [mask for _, mask in pairs]
        refined.append(fit.fit(generator.encoder, content, inputs, compared, grid[number : number + 1]).grid)
    return torch.cat(refined)


def _scenes(generator: PairGenerator, photo: torch.Tensor) -> torch.Tensor | None:
    """Return the probabilities of the classes of scenes, `(1, 9, 64, 64)`; None if the generator finds no scenes."""
    if not isinstance(generator, UniversalGenerator) or not generator.arguments["scenes"]:
        return None
    return generator.read(resize_pixels(photo, (generator.thumbnail, generator.thumbnail))).classes


def _compared(
    mask: torch.Tensor | None, source: StyleInput, style: EncodedStyle, classes: torch.Tensor | None
) -> tuple[StyleInput, torch.Tensor | None]:
    """Return the style and the mask of the content that the losses compare: those given, or the classes of both."""
    if mask is not None or classes is None:
        return source, mask
    of_content, of_style = common_classes(classes, style.statistics.classes)
    return source._replace(mask=of_style), of_content


def _small_style(style: EncodedStyle, device: torch.device, max_side: int) -> StyleInput:
    assert style.source is not None
    pixels, mask, weight = style.source
    if mask is not None:
        mask = open_mask("style_mask", mask, pixels, device, MASK_SIDE)
    return StyleInput(_small_photo(pixels[0], device, max_side), mask, weight)


def _small_photo(photo: torch.Tensor, device: torch.device, max_side: int) -> torch.Tensor:
    """Shrink pixels `(H, W, 3)` to a photo `(1, 3, h, w)` in [0, 1] for the losses."""
    from lookcast.fitting.pair_loss import fit_size

    return resize_pixels(photo, fit_size(photo.shape[0], photo.shape[1], max_side)).to(device)
