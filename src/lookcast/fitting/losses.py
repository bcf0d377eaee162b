"""The losses of a fit."""

from lookcast.losses.color import ColorLoss
from lookcast.losses.content import ContentLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.photorealism import GuidedPenalty, MattingPenalty
from lookcast.losses.style import SegmentedStyleLoss

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
STYLE, COLOR = 1.4, 0.07
"""Weights of the style and the colour term in `grid_loss`."""
_FEW = 20  # number of steps below which the style needs a higher weight


def grid_loss(
    style_weight: float = STYLE,
    color_weight: float = COLOR,
    photorealism_weight: float = 3000.0,
    smoothness_weight: float = 5.0,
    gamut_weight: float = 50.0,
    flatness_weight: float = 2000.0,
) -> DeepPhotoLoss:
    """Return the loss for `LookFit`; see `DeepPhotoLoss` for the weights.

    There is no content term, because a grid keeps the content.
    """
    return DeepPhotoLoss(
        ContentLoss(["relu4_1"]),
        SegmentedStyleLoss(TAPS, max_cells=16384),
        ColorLoss(directions=8, side=64),
        GuidedPenalty(kernel_size=33, subsample=4),
        content_weight=0.0,
        style_weight=style_weight,
        color_weight=color_weight,
        photorealism_weight=photorealism_weight,
        smoothness_weight=smoothness_weight,
        variation_weight=0.0,
        gamut_weight=gamut_weight,
        flatness_weight=flatness_weight,
    )


def refine_loss(steps: int) -> DeepPhotoLoss:
    """Return the loss for a fit with a given number of steps, at least 1.

    From 20 steps on, it is `grid_loss()`. A shorter fit ends far from the minimum, and its steps mostly lower the
    penalties. Style and colour therefore get `20 / steps` times their weight, but at most twice.
    """
    factor = min(2.0, max(1.0, _FEW / steps))
    return grid_loss(factor * STYLE, factor * COLOR)


def pixel_loss(
    content_weight: float = 2e5,
    style_weight: float = 2e6,
    variation_weight: float = 2e5,
) -> DeepPhotoLoss:
    """Return the loss for `PixelFit` with the compact encoder; see `DeepPhotoLoss` for the weights.

    The terms are those of the paper, except for the style term. The features of the compact encoder are standardised,
    so their second moments alone don't tell dark from bright. `SegmentedStyleLoss` also compares their means, and its
    relative distance suits all taps. The weights were chosen on training photos for the paper's lambda = 1e4: stage 1
    takes the look but still shows the content, and stage 2 keeps the style of stage 1.
    """
    return DeepPhotoLoss(
        ContentLoss(["relu4_1"]),
        SegmentedStyleLoss(TAPS),
        ColorLoss(),
        MattingPenalty(),
        content_weight=content_weight,
        style_weight=style_weight,
        color_weight=0.0,
        photorealism_weight=0.0,
        smoothness_weight=0.0,
        variation_weight=variation_weight,
        gamut_weight=0.0,
    )
