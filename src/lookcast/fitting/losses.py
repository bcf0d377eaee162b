"""The losses of a fit."""

from lookcast.losses.color import ColorLoss
from lookcast.losses.content import ContentLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.photorealism import GuidedPenalty
from lookcast.losses.style import SegmentedStyleLoss

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def grid_loss(
    style_weight: float = 1.4,
    color_weight: float = 0.07,
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
