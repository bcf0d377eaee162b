"""Grounds of the cells of a photo, plane by plane and row by row; after `lookcast.generators.grounds`."""

import numpy as np

from tests.reference.statistics import blur, cell_sums


def grounds(
    shares: np.ndarray,
    moments: np.ndarray,
    regions: np.ndarray,
    features: np.ndarray,
    scales: tuple[np.ndarray, float, float],
    bias: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights `(D, P, P)` and openness `(D, P)`, for one photo with 16 x 16 cells.

    `shares` is `(D, 64, 64)`, `moments` is `(10, 64, 64)`, `regions` is `(K, D, 16, 16)`, `features` is `(C, 16, 16)`
    and `bias` is `(D, 16, 16)`. `scales` are the scales of the colours and of the regions, and the limit of the spread.
    """
    color_scale, region_scale, limit = scales
    depth, cells = len(shares), 256
    volume = cell_sums(shares, moments)  # (P, D, 10)
    near = np.stack([blur(volume[:, :, n].T.reshape(depth, 16, 16)) for n in range(10)])
    near += 1e-4 * volume.sum(1).T.reshape(10, 1, 16, 16)
    weights, openness = np.zeros((depth, cells, cells)), np.zeros((depth, cells))
    for d in range(depth):
        described, spread = [], []
        for cell in range(cells):
            y, x = divmod(cell, 16)
            mean = near[1:, d, y, x] / near[0, d, y, x]
            color = mean[:3]
            variance = sum(max(mean[n] - mean[i] ** 2, 0) for i, n in enumerate((3, 6, 8)))
            spread.append((variance + 1e-8) ** 0.5 / limit)
            described.append([*(color * color_scale), *(region_scale * regions[:, d, y, x]), *features[:, y, x]])
            openness[d, cell] = 1 / (1 + np.exp(-(3 * (1 - spread[-1]) + bias[d, y, x])))
        f, s = np.array(described), np.array(spread)
        for p in range(cells):
            distance = ((f - f[p]) ** 2).sum(1)
            row = (volume[:, d, 0] + 1e-6) * np.exp(-distance / 2 - s**2)
            weights[d, p] = row / row.sum()
    return weights, openness
