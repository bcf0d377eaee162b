"""The matting energy window by window as least squares, and the guided filter window by window."""

import numpy as np


def matting_energy(content: np.ndarray, output: np.ndarray, eps: float) -> tuple[float, np.ndarray]:
    """`sum_k min_(A,b) sum_(i in k) |V_i - A I_i - b|^2 + eps |A|^2` over the 3x3 windows inside `(3, H, W)` images.

    Levin et al. 2008, eq. 11, for three output channels. The penalty becomes three more rows `sqrt(eps) A = 0`, so that
    each window is one ordinary least-squares problem, solved by SVD: no normal equations, no inverse. The gradient by V
    comes along: twice the residual of every pixel, summed over the windows it is in.
    """
    _, height, width = content.shape
    energy, gradient = 0.0, np.zeros_like(output)
    for y in range(height - 2):
        for x in range(width - 2):
            guide = content[:, y : y + 3, x : x + 3].reshape(3, 9).T
            values = output[:, y : y + 3, x : x + 3].reshape(3, 9).T
            rows = np.zeros((12, 4))
            rows[:9, :3], rows[:9, 3] = guide, 1
            rows[9:, :3] = np.sqrt(eps) * np.eye(3)
            wanted = np.vstack([values, np.zeros((3, 3))])
            solution, *_ = np.linalg.lstsq(rows, wanted, rcond=0)
            residual = wanted - rows @ solution
            energy += np.sum(residual**2)
            gradient[:, y : y + 3, x : x + 3] += 2 * residual[:9].T.reshape(3, 3, 3)
    return energy, gradient


def guided_filter(guide: np.ndarray, image: np.ndarray, kernel_size: int, eps: float, subsample: int = 1) -> np.ndarray:
    """He, Sun, Tang 2013, eq. 19-21, for a guide and an image of three channels, `(3, H, W)`; borders are reflected.

    With `subsample` the fast variant (He and Sun 2015, algorithm 2): fitted on every n-th pixel, windows as wide in
    pixels of the original, maps enlarged bilinearly. H and W must be multiples of it.
    """
    small_guide, small_image = guide[:, ::subsample, ::subsample], image[:, ::subsample, ::subsample]
    size = (kernel_size - 1) // subsample + 1
    _, height, width = small_guide.shape
    maps, offsets = np.zeros((3, 3, height, width)), np.zeros((3, height, width))
    for y, x, window, values in _windows(small_guide, small_image, size):
        centred = window - window.mean(0)
        covariance = centred.T @ centred / len(window) + eps * np.eye(3)
        cross = centred.T @ (values - values.mean(0)) / len(window)
        a = np.linalg.solve(covariance, cross)  # column c: the map of output channel c
        maps[:, :, y, x] = a.T
        offsets[:, y, x] = values.mean(0) - window.mean(0) @ a
    mean_maps = enlarge(_box_mean(maps.reshape(9, height, width), size), subsample).reshape(3, 3, *guide.shape[1:])
    mean_offsets = enlarge(_box_mean(offsets, size), subsample)
    out = np.zeros_like(image)
    for y in range(guide.shape[1]):
        for x in range(guide.shape[2]):
            out[:, y, x] = mean_maps[:, :, y, x] @ guide[:, y, x] + mean_offsets[:, y, x]
    return out


def enlarge(planes: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear, cell centres at .5, 1.5, ..., constant beyond the outermost centres."""
    if factor == 1:
        return planes
    _, height, width = planes.shape
    out = np.zeros((len(planes), height * factor, width * factor))
    for y in range(height * factor):
        for x in range(width * factor):
            py = min(max((y + 0.5) / factor - 0.5, 0), height - 1)
            px = min(max((x + 0.5) / factor - 0.5, 0), width - 1)
            y0, x0 = int(py), int(px)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            fy, fx = py - y0, px - x0
            top = (1 - fx) * planes[:, y0, x0] + fx * planes[:, y0, x1]
            bottom = (1 - fx) * planes[:, y1, x0] + fx * planes[:, y1, x1]
            out[:, y, x] = (1 - fy) * top + fy * bottom
    return out


def _windows(guide: np.ndarray, image: np.ndarray, size: int):
    """Position, guide and image values `(n, 3)` of the window around every pixel."""
    radius = size // 2
    pad = ((0, 0), (radius, radius), (radius, radius))
    guide_padded, image_padded = np.pad(guide, pad, mode="reflect"), np.pad(image, pad, mode="reflect")
    for y in range(guide.shape[1]):
        for x in range(guide.shape[2]):
            window = guide_padded[:, y : y + size, x : x + size].reshape(3, -1).T
            values = image_padded[:, y : y + size, x : x + size].reshape(3, -1).T
            yield y, x, window, values


def _box_mean(planes: np.ndarray, size: int) -> np.ndarray:
    radius = size // 2
    padded = np.pad(planes, ((0, 0), (radius, radius), (radius, radius)), mode="reflect")
    out = np.zeros_like(planes)
    for y in range(planes.shape[1]):
        for x in range(planes.shape[2]):
            out[:, y, x] = padded[:, y : y + size, x : x + size].mean((1, 2))
    return out
