"""Figures that compare an output with its content."""

import torch
from kornia.filters import spatial_gradient
from kornia.metrics import ssim

from lookcast.checks import ShapeError, check_image
from lookcast.ops.color import luma

WINDOW = 11
"""Side of SSIM's Gaussian window in pixels."""


def edge_ssim(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Content structure: SSIM of the Sobel magnitudes of the lumas, each over its 99th percentile.

    Blind to a change of colours and contrast, sensitive to edges that come or go. SSIM with an 11x11 Gaussian window of
    sigma 1.5, K1 = .01, K2 = .03, over windows that lie inside the image.

    Args:
        content: `(B, 3, H, W)` in [0, 1], H and W at least `WINDOW`.
        output: the same.

    Returns:
        `(B,)`, 1 for unchanged edges.

    Raises:
        ShapeError: shapes differ, or a side is shorter than a window.

    Reference:
        Wang et al. 2004 (SSIM); on edges as in Xia et al. 2020.
    """
    check_image("content", content)
    check_image("output", output)
    if content.shape != output.shape:
        raise ShapeError("output", str(tuple(content.shape)), output.shape)
    if min(content.shape[-2:]) < WINDOW:
        raise ShapeError("content", f"(B, 3, H >= {WINDOW}, W >= {WINDOW})", content.shape)
    # Half precision and autocast, which a GPU trains with, would leave the gradients two digits.
    content, output = (image.to(torch.promote_types(image.dtype, torch.float32)) for image in (content, output))
    with torch.autocast(content.device.type, enabled=False):
        similarity: torch.Tensor = ssim(_edges(content), _edges(output), window_size=WINDOW, padding="valid")
    return similarity.mean((1, 2, 3))


def _edges(image: torch.Tensor) -> torch.Tensor:
    magnitude = spatial_gradient(luma(image)).square().sum(2).add(1e-12).sqrt()
    # A quantile by sorting: torch.quantile refuses more than 16 million values.
    ordered = magnitude.flatten(1).sort(1).values
    strongest = ordered[:, round(0.99 * (ordered.shape[1] - 1))].view(-1, 1, 1, 1)
    return (magnitude / strongest.clamp_min(1e-3)).clamp(0, 1)
