"""Metrics that compare an output pixel by pixel with the content, or with the known truth."""

import torch
import torch.nn.functional as F
from kornia.filters import spatial_gradient
from kornia.metrics import ssim

from lookcast.checks import ShapeError, check_image_pair
from lookcast.metrics.style import lab
from lookcast.ops.color import luma
from lookcast.ops.precision import full_precision, no_autocast

WINDOW = 11
"""Side of SSIM's Gaussian window in pixels."""
FINE_WINDOW, FINE_RIDGE = 3, 1e-5 / 9
"""Settings of `affine_residual`: side of the windows in pixels, and the ridge added to the variances of the content."""
COARSE_SIDE, COARSE_WINDOW, COARSE_RIDGE = 128, 15, 1e-4
"""Settings of the coarse metrics: longer side of the shrunk images in pixels, side of the windows, and the ridge."""
FLAT_SPREAD, MIN_FLAT_SHARE = 5.0, 0.02
"""Settings of `flat_spread`: limit of the content's spread in 8-bit levels, and smallest share of flat windows."""


def edge_ssim(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Return the SSIM between the edge maps of content and output.

    An edge map is the Sobel magnitude of the luma, divided by the 99th percentile of the magnitude. The metric measures
    content structure: new and lost edges lower the metric, changes of colour and contrast do not.
    SSIM uses an 11x11 Gaussian window with sigma 1.5, K1 = .01 and K2 = .03, and only windows inside the image.

    Args:
        content: `(B, 3, H, W)` in [0, 1], H and W at least `WINDOW`.
        output: `(B, 3, H, W)` in [0, 1], in the shape of the content.

    Returns:
        `(B,)`, 1 for unchanged edges.

    Raises:
        ShapeError: the shapes differ, or a side is shorter than a window.

    Reference:
        Wang et al. 2004 (SSIM); Xia et al. 2020 (SSIM of edges).
    """
    check_image_pair("content", content, "output", output, WINDOW)
    # In half precision, the gradients would have only two digits.
    content, output = (full_precision(image) for image in (content, output))
    with no_autocast(content):
        similarity: torch.Tensor = ssim(_edges(content), _edges(output), window_size=WINDOW, padding="valid")
    return similarity.mean((1, 2, 3))


def affine_residual(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Return the share of the output's variance in 3x3 windows that no affine map of the content's colours explains.

    The share is `sum_k tr(C_oo - C_io^T (C_ii + r I)^-1 C_io) / sum_k tr C_oo`. C_ii, C_io and C_oo are the covariances
    of content i and output o in window k, I is the identity matrix, and r is `FINE_RIDGE`. The metric measures
    photorealism: 0 for a locally affine recolouring, 1 for an output that is unrelated to the content. Unlike the
    matting energy, the share does not grow with the contrast of the output. The computation uses float64, because
    E[x^2] - E[x]^2 in float32 has no correct digit on flat windows.

    Args:
        content: `(B, 3, H, W)` in [0, 1], H and W at least `FINE_WINDOW`.
        output: `(B, 3, H, W)` in [0, 1], in the shape of the content.

    Returns:
        `(B,)` in [0, 1], float64; 0 for a flat output.

    Raises:
        ShapeError: the shapes differ, or a side is shorter than a window.
    """
    check_image_pair("content", content, "output", output, FINE_WINDOW)
    variance, residual = _unexplained(content, output, FINE_WINDOW, FINE_RIDGE)
    return residual.sum((1, 2, 3)) / variance.sum((1, 2, 3)).clamp_min(1e-9)


def invented_residual(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Return the residual of a local affine fit at a coarse scale, which reveals invented clouds, stains and halos.

    Both images are resized by area, so that the longer side has 128 pixels. In each 15x15 window, the best affine map
    of the content's colours approximates the output. The metric is the root mean square of the residual, in 8-bit
    levels. The residual is not divided by the variance, so a stain in a flat sky counts in proportion to its
    visibility.

    Args:
        content: `(B, 3, H, W)` in [0, 1]; the shorter side is at least 15/128 of the longer one.
        output: `(B, 3, H, W)` in [0, 1], in the shape of the content.

    Returns:
        `(B,)` in [0, 255], float64.

    Raises:
        ShapeError: the shapes differ, or a side of the shrunk images is shorter than a window.
    """
    content, output = _coarse(content, output)
    _, residual = _unexplained(content, output, COARSE_WINDOW, COARSE_RIDGE)
    # The exact residual is positive because of the ridge, but rounding may make it negative.
    return residual.clamp_min(0).mean((1, 2, 3)).sqrt() * 255


def flat_spread(content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Return the spread of the output where the content is flat, which reveals halos and stripes in skies and walls.

    Both images are resized by area, so that the longer side has 128 pixels. The spread of a 15x15 window is the
    standard deviation of its colours, `sqrt(V_r + V_g + V_b)`. The metric is the root mean square of the output's
    spread, over the windows in which the content's spread is below `FLAT_SPREAD`.

    Args:
        content: `(B, 3, H, W)` in [0, 1]; the shorter side is at least 15/128 of the longer one.
        output: `(B, 3, H, W)` in [0, 1], in the shape of the content.

    Returns:
        `(B,)` in 8-bit levels, float64; NaN if the share of such windows is below `MIN_FLAT_SHARE`.

    Raises:
        ShapeError: the shapes differ, or a side of the shrunk images is shorter than a window.
    """
    content, output = (image.double() for image in _coarse(content, output))

    def spread_squared(image: torch.Tensor) -> torch.Tensor:
        mean, square = (F.avg_pool2d(planes, COARSE_WINDOW, 1) for planes in (image, image.square()))
        return (square - mean.square()).clamp_min(0).sum(1) * 255**2

    flat = spread_squared(content) < FLAT_SPREAD**2
    mean = (spread_squared(output) * flat).sum((1, 2)) / flat.sum((1, 2))
    return torch.where(flat.double().mean((1, 2)) >= MIN_FLAT_SHARE, mean.sqrt(), torch.nan)


def color_difference(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the mean colour difference of the pixels in CIELAB, `sqrt(dL^2 + da^2 + db^2)` (CIE 1976).

    Args:
        output: `(B, 3, H, W)` in [0, 1].
        truth: `(B, 3, H, W)` in [0, 1], in the shape of the output.

    Returns:
        `(B,)` in Lab units.

    Raises:
        ShapeError: the shapes differ.
    """
    check_image_pair("output", output, "truth", truth, 1)
    difference: torch.Tensor = (lab(output) - lab(truth)).norm(dim=1).mean((1, 2))
    return difference


def psnr(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the peak signal-to-noise ratio of each image in decibels, `-10 log10 mean (O - T)^2`.

    O is the output and T the truth. `kornia.metrics.psnr` averages the error over the batch instead.

    Args:
        output: `(B, 3, H, W)` in [0, 1].
        truth: `(B, 3, H, W)` in [0, 1], in the shape of the output.

    Returns:
        `(B,)`; infinite for equal images.

    Raises:
        ShapeError: the shapes differ.
    """
    check_image_pair("output", output, "truth", truth, 1)
    return -10 * (output - truth).square().mean((1, 2, 3)).log10()


def color_ssim(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the SSIM of the colours, averaged over the three channels, with the windows of `edge_ssim`.

    Args:
        output: `(B, 3, H, W)` in [0, 1], H and W at least `WINDOW`.
        truth: `(B, 3, H, W)` in [0, 1], in the shape of the output.

    Returns:
        `(B,)`, 1 for equal images.

    Raises:
        ShapeError: the shapes differ, or a side is shorter than a window.

    Reference:
        Wang et al. 2004.
    """
    check_image_pair("output", output, "truth", truth, WINDOW)
    similarity: torch.Tensor = ssim(output, truth, window_size=WINDOW, padding="valid")
    return similarity.mean((1, 2, 3))


def _coarse(content: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Resize both images by area, so that the longer side has `COARSE_SIDE` pixels."""
    check_image_pair("content", content, "output", output, 1)
    scale = COARSE_SIDE / max(content.shape[-2:])
    size = tuple(round(side * scale) for side in content.shape[-2:])
    if min(size) < COARSE_WINDOW:
        expected = f"(B, 3, H, W) with sides in a ratio of at most {COARSE_SIDE}:{COARSE_WINDOW}"
        raise ShapeError("content", expected, content.shape)
    return F.interpolate(content, size, mode="area"), F.interpolate(output, size, mode="area")


def _edges(image: torch.Tensor) -> torch.Tensor:
    magnitude = spatial_gradient(luma(image)).square().sum(2).add(1e-12).sqrt()
    # Sorted, because torch.quantile refuses more than 16 million values.
    ordered = magnitude.flatten(1).sort(1).values
    strongest = ordered[:, round(0.99 * (ordered.shape[1] - 1))].view(-1, 1, 1, 1)
    return (magnitude / strongest.clamp_min(1e-3)).clamp(0, 1)


def _unexplained(
    content: torch.Tensor, output: torch.Tensor, window: int, ridge: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the variance of the output in each window, and the part of it that no affine map of the content explains.

    Both results are `(B, 3, h, w)`, with a value for each channel of each window.
    """
    content, output = content.double(), output.double()

    def box(planes: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(planes, window, 1)

    def covariance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the covariances between the channels of two images in each window, `(B, h, w, 3, 3)`."""
        products = torch.stack([box(first[:, i, None] * second) for i in range(3)], 1)
        products = products - box(first)[:, :, None] * box(second)[:, None]
        return products.permute(0, 3, 4, 1, 2)

    shared = covariance(content, output)
    system = covariance(content, content) + ridge * torch.eye(3, dtype=content.dtype, device=content.device)
    explained = (shared * torch.linalg.solve(system, shared)).sum(-2).permute(0, 3, 1, 2)
    variance = box(output.square()) - box(output).square()
    return variance, variance - explained
