"""Motion of the camera between two frames, as a shift and a zoom."""

from typing import NamedTuple

import numpy as np
import torch

from lookcast.ops.bilateral.cpu import compile_kernel
from lookcast.ops.color import luma
from lookcast.ops.resize import shrink_to_side

SIDES = (16, 32, 64)
"""Sides of the images that `estimate_motion` aligns, from coarse to fine. All divide the side of a thumbnail."""
STEPS = 3
"""Steps of the Gauss-Newton method at each side."""
MIN_SPREAD = 0.005
"""Smallest standard deviation of an image whose motion can be estimated."""
RIDGE = 1e-6
"""Weight that keeps the steps small where an image has little structure."""
MAX_SHIFT, MAX_ZOOM = 0.6, 0.2
"""Limits of a motion between neighbouring frames. A shift of 2 moves the image by its whole width."""


class Motion(NamedTuple):
    """A shift and a zoom `q = zoom * p + (x, y)` between positions in two frames, both in [-1, 1].

    Attributes:
        x: shift to the right; 2 is the width of a frame.
        y: shift down; 2 is the height of a frame.
        zoom: factor around the centre of the frame.
    """

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0

    def after(self, first: "Motion") -> "Motion":
        """Return the motion that applies `first` and then this motion."""
        return Motion(self.zoom * first.x + self.x, self.zoom * first.y + self.y, self.zoom * first.zoom)

    def inverse(self) -> "Motion":
        """Return the motion that takes every `q` back to its `p`."""
        return Motion(-self.x / self.zoom, -self.y / self.zoom, 1 / self.zoom)

    def positions(self, height: int, width: int, extent: float = 1.0) -> torch.Tensor:
        """Return the positions `q` of cell centres, as `grid_sample` takes them.

        Args:
            height: number of rows of cells.
            width: number of columns of cells.
            extent: the cells cover [-extent, extent] in both directions.

        Returns:
            `(height, width, 2)`, x before y.
        """
        rows, columns = ((torch.arange(n) + 0.5) * (2 * extent / n) - extent for n in (height, width))
        x, y = torch.meshgrid(self.zoom * columns + self.x, self.zoom * rows + self.y, indexing="xy")
        return torch.stack([x, y], -1)


def pyramid(thumbnail: torch.Tensor) -> list[torch.Tensor]:
    """Return the luma of a thumbnail `(1, 3, S, S)` at all `SIDES`, `(1, 1, side, side)` each."""
    images = [luma(thumbnail)]
    for side in reversed(SIDES):  # each from the larger one, which takes less time than each from the thumbnail
        images.append(shrink_to_side(images[-1], side))
    return images[:0:-1]


def estimate_motion(before: list[torch.Tensor], after: list[torch.Tensor], start: Motion | None = None) -> Motion:
    """Estimate the motion from positions in a frame to positions in the frame before.

    The Gauss-Newton method (Lucas and Kanade) minimises `sum_p w(p) |after(p) - gain before(q(p)) - offset|^2`, from
    coarse to fine. Gain and offset make the motion independent of changes of exposure. The weights w are small where
    the images disagree, so moving objects count little.

    Args:
        before: `pyramid` of the frame before.
        after: `pyramid` of the frame.
        start: first guess; None for no motion.

    Returns:
        The motion; no motion if the images are flat, or if the estimate is beyond `MAX_SHIFT` or `MAX_ZOOM`.

    Reference:
        B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981.
    """
    if min(before[-1].std(), after[-1].std()) < MIN_SPREAD:
        return Motion()
    motion = start or Motion()
    prior = np.eye(5, 6)
    prior[3, 5] = 1  # the gain is near 1, all other unknowns are near 0
    for old, new in zip(before, after, strict=True):
        old_image, new_image = (image[0, 0].cpu().numpy() for image in (old, new))
        ridge = RIDGE * new_image.size
        for _ in range(STEPS):
            equations = _normal_equations(old_image, new_image, *motion)
            equations += ridge * prior
            right, down, spread, gain, _ = np.linalg.solve(equations[:, :5], equations[:, 5]).tolist()
            gain = max(gain, 0.2)
            motion = motion.after(Motion(right / gain, down / gain, 1 + spread / gain))
            if max(abs(motion.x), abs(motion.y)) > MAX_SHIFT or abs(motion.zoom - 1) > MAX_ZOOM:
                return Motion()
    return motion


@compile_kernel
def _normal_equations(before, after, x, y, zoom):  # type: ignore[no-untyped-def]
    """Return the normal equations of one step of `estimate_motion`, `(5, 6)`; the last column is the right side.

    The unknowns are the steps to the right, down and in zoom, each times the gain, then the gain and the offset.

    Args:
        before: luma of the frame before, `(S, S)`.
        after: luma of the frame, `(S, S)`.
        x: shift to the right so far.
        y: shift down so far.
        zoom: zoom so far.
    """
    side = after.shape[0]
    places = (np.arange(side) + 0.5) * (2 / side) - 1
    rows, columns = zoom * places + y, zoom * places + x
    moved = np.empty((side, side))
    for i in range(side):
        down = min(max((rows[i] + 1) * side / 2 - 0.5, 0.0), side - 1.0)
        top = min(int(down), side - 2)
        for j in range(side):
            right = min(max((columns[j] + 1) * side / 2 - 0.5, 0.0), side - 1.0)
            left = min(int(right), side - 2)
            upper = before[top, left] + (right - left) * (before[top, left + 1] - before[top, left])
            lower = before[top + 1, left] + (right - left) * (before[top + 1, left + 1] - before[top + 1, left])
            moved[i, j] = upper + (down - top) * (lower - upper)
    inside = [np.flatnonzero(np.abs(where) < 1 - 1 / side) for where in (rows, columns)]
    (first_row, last_row), (first_column, last_column) = [(where[0], where[-1] + 1) for where in inside]
    error = after[first_row:last_row, first_column:last_column] - moved[first_row:last_row, first_column:last_column]
    error = np.abs(error - error.mean())
    weights = 1 / (1 + (error / (2 * (error.mean() + 1e-3))) ** 2)
    equations, terms = np.zeros((5, 6)), np.ones(6)
    for i in range(first_row, last_row):
        above, below = max(i - 1, 0), min(i + 1, side - 1)
        for j in range(first_column, last_column):
            before_j, after_j = max(j - 1, 0), min(j + 1, side - 1)
            right = (moved[i, after_j] - moved[i, before_j]) / (after_j - before_j) * side / 2
            down = (moved[below, j] - moved[above, j]) / (below - above) * side / 2
            terms[0], terms[1], terms[2], terms[3] = right, down, right * places[j] + down * places[i], moved[i, j]
            terms[5] = after[i, j]
            weight = weights[i - first_row, j - first_column]
            for first in range(5):
                for second in range(6):
                    equations[first, second] += weight * terms[first] * terms[second]
    return equations
