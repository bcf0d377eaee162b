"""Statistics of cells literally, place by place. Slow, in float64; after `lookcast.generators.statistics`."""

import numpy as np


def cell_sums(weights: np.ndarray, values: np.ndarray, cells: int = 16) -> np.ndarray:
    """Weights `(K, H, W)`, values `(C, H, W)`: `(cells * cells, K, C)`, cells row by row."""
    side = weights.shape[-1] // cells
    out = np.zeros((cells * cells, len(weights), len(values)))
    for y in range(weights.shape[1]):
        for x in range(weights.shape[2]):
            for k in range(len(weights)):
                for c in range(len(values)):
                    out[(y // side) * cells + x // side, k, c] += weights[k, y, x] * values[c, y, x]
    return out


def blur(volume: np.ndarray) -> np.ndarray:
    """[1 2 1] / 4 along each axis of `(D, H, W)`; beyond a border stands the border."""
    out = np.zeros_like(volume)
    for index in np.ndindex(volume.shape):
        for offset in np.ndindex(3, 3, 3):
            place = tuple(min(max(i + o - 1, 0), n - 1) for i, o, n in zip(index, offset, volume.shape, strict=True))
            out[index] += np.prod([(1, 2, 1)[o] / 4 for o in offset]) * volume[place]
    return out
