"""Penalty for structure in areas where the content is flat, such as halos and stripes in a clear sky."""

import torch
import torch.nn.functional as F

from lookcast.checks import check_image_pair
from lookcast.ops.precision import full_precision, no_autocast

FLAT_SPREAD = 5.0
"""Spread of the colours, in 8-bit levels, below which a window of the content counts as flat."""
_WINDOW = 15  # pixels of the image at half size


def flatness_excess(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Return the mean excess of the output's variance over the content's variance, in flat windows of the content.

    The excess is `mean w (V_o - V_c)^+`, where `^+` replaces negative values by 0. V_o and V_c are the variances of the
    colours of output and content in a window, summed over the channels. The weight is `w = sigmoid(5 - s)`, where s is
    the spread of the content in 8-bit levels. Windows have 15 x 15 pixels of the images at half size. If a side of
    these images is shorter, the window has the length of that side.

    Args:
        content: `(B, 3, H, W)` in [0, 1], at least 2 px per side.
        output: stylized content, same shape.

    Returns:
        Scalar.

    Raises:
        ShapeError: the shapes differ, or a side is shorter than 2 pixels.
        InputError: an image is empty or not floating point.
    """
    check_image_pair("content", content, "output", output, 2)
    with no_autocast(content):
        before, after = (_variance(full_precision(image)) for image in (content, output))
        spread = before.clamp_min(1e-10).sqrt() * 255
        return ((FLAT_SPREAD - spread).sigmoid() * (after - before).relu()).mean()


def _variance(image: torch.Tensor) -> torch.Tensor:
    small = F.avg_pool2d(image, 2)
    centered = small - small.mean((-2, -1), keepdim=True)  # keeps digits: E[x^2] - E[x]^2 subtracts two close numbers
    rows, columns = (min(_WINDOW, side) for side in small.shape[-2:])
    # Rows first, then columns: 30 additions a pixel instead of 225.
    mean, square = (F.avg_pool2d(F.avg_pool2d(x, (rows, 1), 1), (1, columns), 1) for x in (centered, centered.square()))
    return (square - mean.square()).sum(1)
