"""Distances of regions, pixel by pixel and label by label."""

import math

import numpy as np

from tests.reference.gram import gram_matrix, resize_by_area


def gram_distance(outputs: list, styles: list, content_mask: np.ndarray, style_mask: np.ndarray) -> float:
    """Mean over taps and labels of the relative distance, for features `(C, h, w)` and masks `(K, H, W)`."""
    per_tap = []
    for output, style in zip(outputs, styles, strict=True):
        ours, theirs = gram_matrix(output, content_mask), gram_matrix(style, style_mask)
        total, mass = 0.0, 0.0
        for k in range(len(content_mask)):
            share = resize_by_area(content_mask, output.shape[1:])[k].mean()
            if share > 0.005 and resize_by_area(style_mask, style.shape[1:])[k].mean() > 0.005:
                total += share * math.sqrt(((ours[k] - theirs[k]) ** 2).sum() / (theirs[k] ** 2).sum())
                mass += share
        per_tap.append(total / mass)
    return sum(per_tap) / len(per_tap)


def lab(rgb: np.ndarray) -> tuple[float, float, float]:
    """CIELAB of one sRGB colour (IEC 61966-2-1 and CIE 15, D65)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = [
        sum(m * v for m, v in zip(row, linear, strict=True)) / white
        for row, white in zip(matrix, (0.95047, 1.0, 1.08883), strict=True)
    ]
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def sliced_wasserstein(
    directions: np.ndarray, output: np.ndarray, style: np.ndarray, content_mask: np.ndarray, style_mask: np.ndarray
) -> float:
    """For images `(3, H, W)`, hard masks `(K, H, W)` and unit directions `(D, 3)`."""
    levels = np.linspace(0.005, 0.995, 256)
    total, mass = 0.0, 0.0
    for ours, theirs in zip(content_mask, style_mask, strict=True):
        if min(ours.mean(), theirs.mean()) < 0.005:
            continue
        first, second = (
            np.array([lab(image[:, y, x]) for y, x in zip(*np.nonzero(mask > 0.5), strict=True)])
            for image, mask in ((output, ours), (style, theirs))
        )
        distances = [
            np.abs(np.quantile(first @ direction, levels) - np.quantile(second @ direction, levels)).mean()
            for direction in directions
        ]
        total, mass = total + ours.mean() * np.mean(distances), mass + ours.mean()
    return total / mass


def feature_distance(outputs: list, contents: list) -> float:
    """Mean over taps and cells of the squared distance of the cells' directions, for features `(C, h, w)`."""
    per_tap = []
    for output, content in zip(outputs, contents, strict=True):
        _, height, width = output.shape
        total = 0.0
        for y in range(height):
            for x in range(width):
                first, second = output[:, y, x], content[:, y, x]
                total += ((first / np.linalg.norm(first) - second / np.linalg.norm(second)) ** 2).sum()
        per_tap.append(total / (height * width))
    return sum(per_tap) / len(per_tap)
