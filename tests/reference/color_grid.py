"""The fit of a grid of 1 x 1 cells as one dense least-squares problem."""

import numpy as np


def fit_color_grid(source: np.ndarray, target: np.ndarray, depth: int, gradient: float) -> np.ndarray:
    """The affine transforms `(depth, 3, 4)` for colours `(N, 3)`.

    Each unknown is a coefficient of the change from the identity. The penalties become further rows. `lstsq` solves the
    problem by SVD: no normal equations.
    """
    rows = []
    for color in source:
        position = np.clip(color @ [0.299, 0.587, 0.114], 0, 1) * depth - 0.5
        # A hat function for each level; beyond the outermost centres, the outermost level counts fully.
        weights = np.maximum(0, 1 - np.abs(np.clip(position, 0, depth - 1) - np.arange(depth)))
        rows.append(np.outer(weights, np.append(color, 1)).ravel() / np.sqrt(len(source)))
    wanted = (target - source) / np.sqrt(len(source))
    for level in range(depth - 1):
        for k in range(4):
            row = np.zeros((depth, 4))
            row[level, k], row[level + 1, k] = -1, 1
            rows.append(np.sqrt(gradient * depth) * row.ravel())
    rows += list(np.sqrt(1e-9) * np.eye(4 * depth))
    padding = np.zeros((len(rows) - len(source), 3))
    change, *_ = np.linalg.lstsq(np.array(rows), np.vstack([wanted, padding]), rcond=0)
    return np.eye(3, 4) + change.reshape(depth, 4, 3).transpose(0, 2, 1)
