"""Edge SSIM, the residuals of affine fits and the spread of colours, pixel by pixel and window by window."""

import math

import numpy as np

from tests.reference.gram import resize_by_area

RADIUS, SIGMA = 5, 1.5
C1, C2 = 0.01**2, 0.03**2


def sobel_magnitude(image: np.ndarray) -> np.ndarray:
    """Sobel magnitude of the Rec. 601 luma of an image `(3, H, W)`, in units per pixel; borders are replicated."""
    gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    height, width = gray.shape
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            at = [[gray[min(max(y + i, 0), height - 1), min(max(x + j, 0), width - 1)] for j in (-1, 0, 1)] for i in (-1, 0, 1)]  # fmt: skip # noqa: E501
            dx = sum(weight * (row[2] - row[0]) for weight, row in zip((1, 2, 1), at, strict=True)) / 8
            dy = sum(weight * (at[2][j] - at[0][j]) for j, weight in enumerate((1, 2, 1))) / 8
            out[y, x] = math.hypot(dx, dy)
    return out


def edges(image: np.ndarray, method: str) -> np.ndarray:
    """Magnitude over its 99th percentile, at most 1; `method` is that of `np.quantile`."""
    magnitude = sobel_magnitude(image)
    return np.minimum(magnitude / np.quantile(magnitude, 0.99, method=method), 1)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Mean of SSIM over the 11x11 windows that lie inside (Wang et al. 2004, eq. 13-16)."""
    side = range(-RADIUS, RADIUS + 1)
    window = np.array([[math.exp(-(i * i + j * j) / (2 * SIGMA**2)) for j in side] for i in side])
    window /= window.sum()
    height, width = first.shape
    values = []
    for y in range(RADIUS, height - RADIUS):
        for x in range(RADIUS, width - RADIUS):
            a, b = (image[y - RADIUS : y + RADIUS + 1, x - RADIUS : x + RADIUS + 1] for image in (first, second))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            numerator = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
            values.append(numerator / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2)))
    return float(np.mean(values))


def edge_ssim(content: np.ndarray, output: np.ndarray, method: str = "linear") -> float:
    """SSIM of the edges of two images `(3, H, W)`."""
    return ssim(edges(content, method), edges(output, method))


def unexplained(content: np.ndarray, output: np.ndarray, window: int, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Window by window, for images `(3, H, W)`: variance of the output, and what the best affine map leaves of it.

    `(h, w, 3)` each; the map is that of a ridge regression of the centred colours.
    """
    height, width = (side - window + 1 for side in content.shape[1:])
    variance, residual = np.zeros((height, width, 3)), np.zeros((height, width, 3))
    for y in range(height):
        for x in range(width):
            i, o = (image[:, y : y + window, x : x + window].reshape(3, -1) for image in (content, output))
            i, o = (colors - colors.mean(1, keepdims=True) for colors in (i, o))
            shared = i @ o.T / window**2
            affine = np.linalg.solve(i @ i.T / window**2 + ridge * np.eye(3), shared)
            variance[y, x] = (o**2).mean(1)
            residual[y, x] = variance[y, x] - (affine * shared).sum(0)
    return variance, residual


def affine_residual(content: np.ndarray, output: np.ndarray) -> float:
    """Share of the output's variance in 3x3 windows that the ridge regression leaves."""
    variance, residual = unexplained(content, output, 3, 1e-5 / 9)
    return residual.sum() / variance.sum()


def invented_residual(content: np.ndarray, output: np.ndarray) -> float:
    """Root mean square of the ridge regression's residual in 15x15 windows of images of 128 px, in levels of 255."""
    scale = 128 / max(content.shape[1:])
    size = round(content.shape[1] * scale), round(content.shape[2] * scale)
    _, residual = unexplained(resize_by_area(content, size), resize_by_area(output, size), 15, 1e-4)
    return 255 * math.sqrt(np.maximum(residual, 0).mean())


def color_variance(image: np.ndarray, window: int) -> np.ndarray:
    """Variance of the colours in each window of an image `(3, H, W)`, summed over the channels: `(h, w)`."""
    height, width = (side - window + 1 for side in image.shape[1:])
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            for channel in image[:, y : y + window, x : x + window]:
                out[y, x] += ((channel - channel.mean()) ** 2).mean()
    return out


def flat_spread(content: np.ndarray, output: np.ndarray) -> float:
    """Root mean square of the output's spread in the 15x15 windows where the content's spread is below 5 levels."""
    scale = 128 / max(content.shape[1:])
    size = round(content.shape[1] * scale), round(content.shape[2] * scale)
    before, after = (255**2 * color_variance(resize_by_area(image, size), 15) for image in (content, output))
    flat = before < 5**2
    return math.sqrt(after[flat].mean()) if flat.mean() >= 0.02 else math.nan


def flatness_excess(content: np.ndarray, output: np.ndarray) -> float:
    """Mean of `sigmoid(5 - s) (V_o - V_c)^+` over the 15x15 windows of the images at half size, s in 8-bit levels."""
    size = content.shape[1] // 2, content.shape[2] // 2
    before, after = (color_variance(resize_by_area(image, size), 15) for image in (content, output))
    weight = 1 / (1 + np.exp(255 * np.sqrt(before) - 5))
    return float((weight * np.maximum(after - before, 0)).mean())
