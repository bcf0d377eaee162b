"""The local-affine smoothing, pixel by pixel."""

import numpy as np


def smooth_local_affine(content: np.ndarray, output: np.ndarray, radius: int, edge: float, eps: float) -> np.ndarray:
    """The smoothed output `(3, H, W)` for images `(3, H, W)`.

    The affine map of each 3x3 window is a least-squares problem with three more rows `sqrt(eps) A = 0`, solved by SVD.
    Each pixel takes the mean of the maps around it, with weights for distance and colour; a pixel beyond the border of
    the photo is the nearest pixel of the border.
    """
    _, height, width = content.shape
    maps = np.zeros((height, width, 4, 3))
    for y in range(height):
        for x in range(width):
            top, left = np.clip(y - 1, 0, height - 3), np.clip(x - 1, 0, width - 3)
            rows, wanted = np.zeros((12, 4)), np.zeros((12, 3))
            rows[:9, :3], rows[:9, 3] = content[:, top : top + 3, left : left + 3].reshape(3, 9).T, 1
            rows[9:, :3] = np.sqrt(eps) * np.eye(3)
            wanted[:9] = output[:, top : top + 3, left : left + 3].reshape(3, 9).T
            maps[y, x] = np.linalg.lstsq(rows, wanted, rcond=0)[0]
    smoothed = np.zeros_like(content)
    for y in range(height):
        for x in range(width):
            total, mass = np.zeros((4, 3)), 0.0
            for v in range(y - radius, y + radius + 1):
                for u in range(x - radius, x + radius + 1):
                    near = np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)
                    place = ((v - y) ** 2 + (u - x) ** 2) / (2 * (radius / 3) ** 2)
                    color = np.sum((content[:, *near] - content[:, y, x]) ** 2) / (2 * edge**2)
                    weight = np.exp(-place - color)
                    total, mass = total + weight * maps[near], mass + weight
            smoothed[:, y, x] = np.append(content[:, y, x], 1) @ total / mass
    return smoothed
