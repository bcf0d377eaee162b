"""Slicing and applying a bilateral grid, pixel by pixel.

Gharbi et al., "Deep Bilateral Learning for Real-Time Image Enhancement", SIGGRAPH 2017, section 3.2: a cell's weight is
the product of the tents `max(1 - |distance|, 0)` in x, y and depth, cell centres at .5, 1.5, ..., and a neighbour
outside the grid is the nearest one inside.
"""

import math

import numpy as np


def slice_grid(grid: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """`(C, D, GH, GW)` read by a guide `(H, W)`: `(C, H, W)`."""
    channels, depth, grid_height, grid_width = grid.shape
    height, width = guide.shape
    out = np.zeros((channels, height, width))
    for y in range(height):
        for x in range(width):
            gx = (x + 0.5) * grid_width / width
            gy = (y + 0.5) * grid_height / height
            gz = guide[y, x] * depth
            for k in (math.floor(gz - 0.5), math.floor(gz - 0.5) + 1):
                for j in (math.floor(gy - 0.5), math.floor(gy - 0.5) + 1):
                    for i in (math.floor(gx - 0.5), math.floor(gx - 0.5) + 1):
                        weight = _tent(i + 0.5 - gx) * _tent(j + 0.5 - gy) * _tent(k + 0.5 - gz)
                        cell = (
                            min(max(k, 0), depth - 1),
                            min(max(j, 0), grid_height - 1),
                            min(max(i, 0), grid_width - 1),
                        )
                        for c in range(channels):
                            out[c, y, x] += weight * grid[(c, *cell)]
    return out


def slice_apply(grid: np.ndarray, guide: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Grid `(12, D, GH, GW)`, guide `(H, W)`, image `(3, H, W)`: the transformed image."""
    coefficients = slice_grid(grid, guide)
    out = np.zeros_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            for i in range(3):
                for j in range(3):
                    out[i, y, x] += coefficients[4 * i + j, y, x] * image[j, y, x]
                out[i, y, x] += coefficients[4 * i + 3, y, x]
    return out


def _tent(distance: float) -> float:
    return max(1 - abs(distance), 0)
