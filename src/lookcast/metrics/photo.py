"""Figures that compare an output with its content, pixel by pixel, or with the truth where there is one."""

import torch
import torch.nn.functional as F
from kornia.filters import spatial_gradient
from kornia.metrics import ssim

from lookcast.checks import ShapeError, check_image
from lookcast.ops.color import luma

WINDOW = 11
"""Side of SSIM's Gaussian window in pixels."""
FINE_WINDOW, FINE_RIDGE = 3, 1e-5 / 9
"""Side of the windows of `affine_residual`, and what is added to the content's variances there."""
COARSE_SIDE, COARSE_WINDOW, COARSE_RIDGE = 128, 15, 1e-4
"""The same of `invented_residual`, and the longer side that images are shrunk to first."""


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
    _check_two("content", content, "output", output, WINDOW)
    # Half precision and autocast, which a GPU trains with, would leave the gradients two digits.
    content, output = (image.to(torch.promote_types(image.dtype, torch.float32)) for image in (content, output))
    with torch.autocast(content.device.type, enabled=False):
        similarity: torch.Tensor = ssim(_edges(content), _edges(output), window_size=WINDOW, padding="valid")
    return similarity.mean((1, 2, 3))


def affine_residual(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Photorealism: share of the output's variance in 3x3 windows that no affine map of the content's colours explains.

    `sum_k tr(C_oo - C_io^T (C_ii + r 1)^-1 C_io) / sum_k tr C_oo` with the covariances C of content i and output o in
    window k, and the ridge r = `FINE_RIDGE`. 0 where the output is a locally affine recolouring, 1 where it has nothing
    to do with the content. A relative of the matting energy, as a share: it does not grow with the output's contrast.
    Computed in float64, because E[x^2] - E[x]^2 leaves nothing of a flat window in float32.

    Args:
        content: `(B, 3, H, W)` in [0, 1], H and W at least `FINE_WINDOW`.
        output: the same.

    Returns:
        `(B,)` in [0, 1], float64; 0 for a flat output.

    Raises:
        ShapeError: shapes differ, or a side is shorter than a window.
    """
    _check_two("content", content, "output", output, FINE_WINDOW)
    variance, residual = _unexplained(content, output, FINE_WINDOW, FINE_RIDGE)
    return residual.sum((1, 2, 3)) / variance.sum((1, 2, 3)).clamp_min(1e-9)


def invented_residual(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Clouds, stains and halos that the content does not have: the residual of the affine fit at a coarse scale.

    Root mean square, in 8-bit levels, of what the best affine map of the content's colours leaves in 15x15 windows,
    after both images are shrunk by area to 128 pixels on the longer side. Not a share: a stain in a flat sky counts for
    what is seen of it.

    Args:
        content: `(B, 3, H, W)` in [0, 1]; the shorter side at least 15 of 128 parts of the longer one.
        output: the same.

    Returns:
        `(B,)` in [0, 255], float64.

    Raises:
        ShapeError: shapes differ, or shrunk to 128 pixels a side is shorter than a window.
    """
    _check_two("content", content, "output", output, 1)
    scale = COARSE_SIDE / max(content.shape[-2:])
    size = tuple(round(side * scale) for side in content.shape[-2:])
    if min(size) < COARSE_WINDOW:
        expected = f"(B, 3, H, W) with sides in a ratio of at most {COARSE_SIDE}:{COARSE_WINDOW}"
        raise ShapeError("content", expected, content.shape)
    content, output = (F.interpolate(image, size, mode="area") for image in (content, output))
    _, residual = _unexplained(content, output, COARSE_WINDOW, COARSE_RIDGE)
    # The ridge keeps the exact value above 0, rounding does not.
    return residual.clamp_min(0).mean((1, 2, 3)).sqrt() * 255


def psnr(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in decibels, `-10 log10 mean (O - T)^2`, image by image.

    `kornia.metrics.psnr` pools the error of the whole batch instead.

    Args:
        output: `(B, 3, H, W)` in [0, 1].
        truth: the same.

    Returns:
        `(B,)`; infinite for equal images.

    Raises:
        ShapeError: shapes differ.
    """
    _check_two("output", output, "truth", truth, 1)
    return -10 * (output - truth).square().mean((1, 2, 3)).log10()


def color_ssim(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """SSIM of the colours: mean over the three channels, windows as in `edge_ssim`.

    Args:
        output: `(B, 3, H, W)` in [0, 1], H and W at least `WINDOW`.
        truth: the same.

    Returns:
        `(B,)`, 1 for equal images.

    Raises:
        ShapeError: shapes differ, or a side is shorter than a window.

    Reference:
        Wang et al. 2004.
    """
    _check_two("output", output, "truth", truth, WINDOW)
    similarity: torch.Tensor = ssim(output, truth, window_size=WINDOW, padding="valid")
    return similarity.mean((1, 2, 3))


def _check_two(first: str, image: torch.Tensor, second: str, other: torch.Tensor, least: int) -> None:
    check_image(first, image)
    check_image(second, other)
    if image.shape != other.shape:
        raise ShapeError(second, str(tuple(image.shape)), other.shape)
    if min(image.shape[-2:]) < least:
        raise ShapeError(first, f"(B, 3, H >= {least}, W >= {least})", image.shape)


def _edges(image: torch.Tensor) -> torch.Tensor:
    magnitude = spatial_gradient(luma(image)).square().sum(2).add(1e-12).sqrt()
    # A quantile by sorting: torch.quantile refuses more than 16 million values.
    ordered = magnitude.flatten(1).sort(1).values
    strongest = ordered[:, round(0.99 * (ordered.shape[1] - 1))].view(-1, 1, 1, 1)
    return (magnitude / strongest.clamp_min(1e-3)).clamp(0, 1)


def _unexplained(
    content: torch.Tensor, output: torch.Tensor, window: int, ridge: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Variance of the output in every window inside, and what the best affine map leaves; `(B, 3, h, w)` each."""
    content, output = content.double(), output.double()

    def box(planes: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(planes, window, 1)

    def covariance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """`(B, h, w, 3, 3)`."""
        products = torch.stack([box(first[:, i, None] * second) for i in range(3)], 1)
        products = products - box(first)[:, :, None] * box(second)[:, None]
        return products.permute(0, 3, 4, 1, 2)

    shared = covariance(content, output)
    system = covariance(content, content) + ridge * torch.eye(3, dtype=content.dtype, device=content.device)
    explained = (shared * torch.linalg.solve(system, shared)).sum(-2).permute(0, 3, 1, 2)
    variance = box(output.square()) - box(output).square()
    return variance, variance - explained
