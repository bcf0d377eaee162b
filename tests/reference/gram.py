"""Gram matrices by region, cell by cell."""

import math

import numpy as np


def resize_by_area(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`(K, H, W)` to `(K, h, w)`: the mean of the pixels that a cell touches."""
    labels, height, width = mask.shape
    out = np.zeros((labels, *size))
    for y in range(size[0]):
        for x in range(size[1]):
            top, bottom = math.floor(y * height / size[0]), math.ceil((y + 1) * height / size[0])
            left, right = math.floor(x * width / size[1]), math.ceil((x + 1) * width / size[1])
            out[:, y, x] = mask[:, top:bottom, left:right].mean((1, 2))
    return out


def gram_matrix(features: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """`G_k = sum_i m_ki f_i f_i^T / sum_i m_ki` for features `(C, h, w)` with a constant channel appended.

    Luan et al. 2017, eq. 3, for masks `(K, H, W)`; a region without mass gets zeros.
    """
    channels, height, width = features.shape
    mask = np.ones((1, height, width)) if mask is None else resize_by_area(mask, (height, width))
    out = np.zeros((len(mask), channels + 1, channels + 1))
    for k in range(len(mask)):
        mass = 0.0
        for y in range(height):
            for x in range(width):
                cell = [*features[:, y, x], 1.0]
                mass += mask[k, y, x]
                for i in range(channels + 1):
                    for j in range(channels + 1):
                        out[k, i, j] += mask[k, y, x] * cell[i] * cell[j]
        if mass > 0:
            out[k] /= mass
    return out
