"""Transport of Gaussians literally: pixels in loops, then the matrices of the formula. Slow, in float64."""

import numpy as np

OPPONENT = np.array([[0.299, 0.587, 0.114], [0.5, 0.0, -0.5], [-0.25, 0.5, -0.25]])


def color_moments(image: np.ndarray) -> np.ndarray:
    """Image `(3, H, W)`: `(10, H, W)`, 1, the opponent colour and its products 00, 01, 02, 11, 12, 22."""
    out = np.zeros((10, *image.shape[1:]))
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            color = OPPONENT @ image[:, y, x]
            out[0, y, x], out[1:4, y, x] = 1, color
            out[4:, y, x] = [color[i] * color[j] for i in range(3) for j in range(i, 3)]
    return out


def gaussian(pixels: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean `(3,)` and covariance `(3, 3)` of pixels `(N, 3)`."""
    mean = sum(w * p for w, p in zip(weights, pixels, strict=True)) / weights.sum()
    outer = [w * np.outer(p - mean, p - mean) for w, p in zip(weights, pixels, strict=True)]
    return mean, sum(outer) / weights.sum()


def knothe_rosenblatt(
    content: tuple[np.ndarray, np.ndarray], style: tuple[np.ndarray, np.ndarray], floor: np.ndarray
) -> np.ndarray:
    """Means and covariances in RGB: the 3x4 matrix of `A = M^-1 L_s L_c^-1 M`, `b = mean_s - A mean_c`."""
    factors = [np.linalg.cholesky(OPPONENT @ cov @ OPPONENT.T + np.diag(floor)) for _, cov in (content, style)]
    matrix = np.linalg.inv(OPPONENT) @ factors[1] @ np.linalg.inv(factors[0]) @ OPPONENT
    return np.concatenate([matrix, (style[0] - matrix @ content[0])[:, None]], 1)
