"""Motion of the camera between two frames, as a shift and a zoom."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

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
    image = luma(thumbnail)
    return [shrink_to_side(image, side) for side in SIDES]


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
    for old, new in zip(before, after, strict=True):
        side = new.shape[-1]
        places = Motion().positions(side, side).to(new)
        target = new.flatten()
        for _ in range(STEPS):
            where = motion.positions(side, side).to(new)
            moved = F.grid_sample(old, where[None], align_corners=False, padding_mode="border")
            down, right = torch.gradient(moved[0, 0], spacing=2 / side)
            inside = (where.abs().amax(-1) < 1 - 1 / side).flatten()
            fixed = torch.ones_like(target)
            spread = (right * places[..., 0] + down * places[..., 1]).flatten()
            columns = torch.stack([right.flatten(), down.flatten(), spread, moved.flatten(), fixed], 1)
            error = (target - moved.flatten() - (target - moved.flatten())[inside].mean()).abs()
            scale = error[inside].mean() + 1e-3
            weight = inside / (1 + (error / (2 * scale)) ** 2)
            weighted = columns * weight[:, None]
            ridge = torch.diag(torch.tensor([RIDGE] * 5).to(new) * len(target))
            prior = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0]).to(new)
            found = torch.linalg.solve(weighted.T @ columns + ridge, weighted.T @ target + ridge @ prior).tolist()
            gain = max(found[3], 0.2)
            right_step, down_step, zoom_step = (value / gain for value in found[:3])
            motion = motion.after(Motion(right_step, down_step, 1 + zoom_step))
            if max(abs(motion.x), abs(motion.y)) > MAX_SHIFT or abs(motion.zoom - 1) > MAX_ZOOM:
                return Motion()
    return motion
