"""The colour term literally: a direction and a quantile at a time. Slow, in float64, CIELAB by scikit-image."""

import numpy as np
from skimage.color import rgb2lab


def wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean distance of the sorted values of two arrays of equal length."""
    return float(np.mean(np.abs(np.sort(first) - np.sort(second))))


def quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """Smallest value up to which the weights make up the level."""
    total = 0.0
    order = np.argsort(values)
    for index in order:
        total += weights[index]
        if total >= level * weights.sum():
            return float(values[index])
    return float(values[order[-1]])


def sliced_distance(
    output: np.ndarray, style: np.ndarray, masks: tuple[np.ndarray, np.ndarray], directions: np.ndarray, levels: int
) -> float:
    """Photos `(3, H, W)` and masks `(K, H, W)`: distances of the regions, weighted by their areas in the output."""
    colors = [rgb2lab(image.transpose(1, 2, 0)).reshape(-1, 3) for image in (output, style)]
    weights = [mask.reshape(len(mask), -1) for mask in masks]
    total, area = 0.0, 0.0
    for own, their in zip(*weights, strict=True):
        if own.sum() == 0:
            continue
        if their.sum() == 0:
            their = np.ones_like(their)
        distance = 0.0
        for direction in directions:
            values = [color @ direction for color in colors]
            for n in range(levels):
                level = (n + 0.5) / levels
                distance += abs(quantile(values[0], own, level) - quantile(values[1], their, level))
        total += own.sum() * distance / len(directions) / levels
        area += own.sum()
    return total / area
