"""The colour table, or the colour-only look, that makes one photo of another photo of the same scene."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia.color import rgb_to_lab

from lookcast.checks import InputError, check_image, check_shape
from lookcast.fitting.alignment import Aligned, align
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.color import luma
from lookcast.ops.color_grid import fit_color_grid
from lookcast.ops.lut import apply_lut, fit_lut

_PAIRS = 1 << 18  # most pairs of pixels for a fit
_ROUNDS = 2  # fits with a coarse table before the final fit
_COARSE = 17  # size of the coarse table
# The pairs come from the photo that the table must fit, and are exact. So the weights are far smaller than in an
# export: on ten graded photos, larger weights gave larger errors on the half of the photo that was not fitted.
_GRADIENT, _BENDING = 1e-6, 1e-6
DEPTH = 32
"""Number of levels of a look."""
_LEVELS = 1e-7  # weight of the differences between the levels of a look, chosen on the same photos
_FLOOR, _SPREAD = 2.0, 3 * 1.4826  # 1.4826 MAD is the standard deviation of a normal distribution
_EDGE = 0.1  # local range of luma above which an interpolated pixel is left out
_BAND = 256  # rows whose errors are computed at a time


class Match(NamedTuple):
    """A colour table or a look that makes one photo of another photo, and its errors.

    Errors are Euclidean distances in CIELAB (dE 76) between the output of the table or look and the second photo, over
    all pixels that both photos show.

    Attributes:
        lut: `(S, S, S, 3)` in [0, 1] in the format of `ops.lut.apply_lut`; None for a look.
        grid: the look, a grid `(1, 12, D, 1, 1)`; None for a table.
        mean: mean error.
        percentile_95: error that 95 % of the pixels don't exceed.
        limit: error above which a pixel counts as not explained by the table.
        unexplained: share of the pixels that the table doesn't explain, such as the pixels of a local edit, in [0, 1].
        errors: error of each pixel, `(H, W)`; NaN where the second photo has no pixel. If the photos were interpolated,
            the longer side is at most `alignment.SIDE`. Otherwise the size is that of the photos.
        resampled: whether the second photo was interpolated to align it.
    """

    lut: torch.Tensor | None
    grid: torch.Tensor | None
    mean: float
    percentile_95: float
    limit: float
    unexplained: float
    errors: torch.Tensor
    resampled: bool

    def __str__(self) -> str:
        alignment = "aligned and interpolated" if self.resampled else "compared pixel by pixel"
        name = "table" if self.grid is None else "look"
        return (
            f"the {name} differs from the second photo by {self.mean:.2f} dE (CIELAB 76), 95th percentile "
            f"{self.percentile_95:.2f}; it does not explain {self.unexplained:.1%} of the pixels (more than "
            f"{self.limit:.1f} dE); the photos were {alignment}"
        )


def match_photos(
    before: torch.Tensor, after: torch.Tensor, size: int = 33, aligned: bool = False, look: bool = False
) -> Match:
    """Find the colour table, or the colour-only look, that makes one photo of another photo of the same scene.

    The photos are aligned as in `alignment.align`. Then `ops.lut.fit_lut` fits a table to random pairs of pixels. The
    fit is repeated without outliers, such as the pixels of a local edit. The last fit is that of a table, or of a look
    with `ops.color_grid.fit_color_grid`. A pair is an outlier if its error exceeds

        max(2, median + 3 * 1.4826 * median |error - median|)

    in CIELAB. Every fit decides anew about all pairs.

    A channel of `after` that is clipped at 0 or 1 only bounds the colour. The first fit leaves such pairs out. Each
    later fit keeps the value that the last table predicts, if this value lies beyond the bound, and takes the bound
    otherwise. So clipped pixels neither bend the table nor leave it undefined. If the photos were interpolated, pixels
    at edges are left out, because their colours are mixtures.

    Args:
        before: the photo to start from, `(1, 3, H, W)` sRGB in [0, 1].
        after: the photo to reach, `(1, 3, H', W')` sRGB in [0, 1].
        size: number of table entries along each axis, at least 2.
        aligned: whether the pixels are known to correspond, so that no alignment is needed.
        look: whether to fit a look instead of a table. A look is a grid of 1 x 1 cells, so its colours depend on luma
            by pieces, and at each luma by an affine map. A table also holds changes that depend on hue.

    Raises:
        ShapeError: a photo has another shape.
        InputError: scikit-image is not installed, the photos can't be aligned or have nothing in common, `aligned` is
            given for photos of two sizes, or the size is below 2.
    """
    for name, image in (("before", before), ("after", after)):
        check_shape(name, image, (1, 3, "H", "W"))
        check_image(name, image)
    if aligned and before.shape != after.shape:
        raise InputError(
            f"after: aligned photos have one size, got {tuple(after.shape[-2:])} for {tuple(before.shape[-2:])}"
        )
    everywhere = torch.ones(before.shape[-2:], dtype=torch.bool)
    pair = Aligned(before, after, everywhere, resampled=False) if aligned else align(before, after)
    source, target = _pixels(pair)
    source, wanted, limit = _explained(source, target)
    if look:
        fitted = fit_color_grid(source, wanted, DEPTH, _LEVELS)
    else:
        fitted = fit_lut(source, wanted, size, _GRADIENT, _BENDING)
    errors = _error_map(partial(_recolored if look else apply_lut, fitted), pair)
    values = errors[pair.inside]
    return Match(
        None if look else fitted,
        fitted if look else None,
        values.mean().item(),
        values.kthvalue(math.ceil(0.95 * len(values))).values.item(),
        limit,
        (values > limit).double().mean().item(),
        errors,
        pair.resampled,
    )


def outlier_limit(errors: torch.Tensor) -> float:
    """Return the error above which a pair counts as an outlier: `max(2, median + 3 * 1.4826 * MAD)`."""
    median = errors.median()
    return max(_FLOOR, (median + _SPREAD * (errors - median).abs().median()).item())


def _explained(source: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return the pairs of colours that are no outliers, `(M, 3)` each of `(N, 3)`, and the limit of the outliers.

    Clipped target colours are replaced by colours outside [0, 1]; see `match_photos`.
    """
    high, low = target >= 1, target <= 0
    kept = ~(high | low).any(1)
    wanted = target
    if not kept.any():  # every pixel is clipped, so the bounds are all that is known
        kept = torch.ones_like(kept)
    limit = _FLOOR
    for _ in range(_ROUNDS):
        lut = fit_lut(source[kept], wanted[kept], _COARSE, _GRADIENT, _BENDING, clamp=False)
        predicted = _looked_up(lut, source)
        wanted = torch.where(high, predicted.clamp_min(1), torch.where(low, predicted.clamp_max(0), target))
        errors = _distance(_looked_up(lut.clamp(0, 1), source), target)
        limit = outlier_limit(errors)
        kept = errors <= limit
    return source[kept], wanted[kept], limit


def _pixels(pair: Aligned) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw random pairs of pixels. Return the colours in both photos, `(N, 3)` each."""
    chosen = pair.inside
    if pair.resampled:
        grey = luma(pair.before)
        spread = (F.max_pool2d(grey, 3, 1, 1) + F.max_pool2d(-grey, 3, 1, 1))[0, 0]
        # At least the flatter half of the pixels is kept, for photos that have texture everywhere.
        chosen = chosen & (spread <= max(_EDGE, spread.median().item()))
    places = chosen.flatten().nonzero()[:, 0]
    if not len(places):
        raise InputError("after: shows nothing of before after the alignment; give two photos of the same scene")
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))[:_PAIRS]
    source, target = (image[0].flatten(1)[:, places[order]].T.contiguous() for image in (pair.before, pair.after))
    return source, target


def _error_map(change: Callable[[torch.Tensor], torch.Tensor], pair: Aligned) -> torch.Tensor:
    """Return the error of a change of colours at each pixel, `(H, W)`, computed in bands to save memory."""
    bands = zip(*(torch.split(image, _BAND, 2) for image in (pair.before, pair.after)), strict=True)
    errors = [(rgb_to_lab(change(before)) - rgb_to_lab(after.clamp(0, 1))).norm(dim=1)[0] for before, after in bands]
    return torch.cat(errors).masked_fill(~pair.inside, math.nan)


def _recolored(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return apply_grid(grid, image).clamp(0, 1)


def _looked_up(lut: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    return apply_lut(lut, colors.T[None, :, None])[0, :, 0].T


def _distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the distances in CIELAB of colours `(N, 3)`: `(N,)`."""
    labs = [rgb_to_lab(colors.T[None, :, None]) for colors in (first, second)]
    distances: torch.Tensor = (labs[0] - labs[1]).norm(dim=1)[0, 0]
    return distances
