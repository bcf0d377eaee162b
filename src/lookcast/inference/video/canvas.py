"""The look of a scene on a canvas that moves with the camera."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from lookcast.inference.video.motion import Motion
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid

FOLLOW = 0.1
"""Usual share of a new key frame in the look of a place that keeps its colours."""
CHANGED = 0.04
"""Change of colour at which a place takes 63 % of its look from a new key frame."""
EXTENT = 3
"""Side of the canvas, in sides of a frame. The canvas leaves room for motion by a whole frame in every direction."""
COLOURS = 3
"""Number of channels for the mean colour of a cell."""
NEIGHBOURS = 5
"""Side of the squares of cells that change together."""


def look_ahead(now: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
    """Return the cells of a later canvas, but the cells of the canvas of now where the colours change between them.

    The later canvas knows more key frames. Where light or content changes, its look is too early.

    Args:
        now: cells from `Canvas.read`.
        later: cells of a later canvas at the same pose.
    """
    change = (later - now)[:, -COLOURS - 1 : -1].abs().mean(1, keepdim=True)
    change = F.avg_pool2d(change, NEIGHBOURS, 1, NEIGHBOURS // 2, count_include_pad=False)
    share = torch.maximum(torch.exp(-((change / CHANGED) ** 2)), 1 - now[:, -1:])
    return torch.lerp(now, later, share)


def to_grid(cells: torch.Tensor) -> torch.Tensor:
    """Return the grid `(1, 12, D, GH, GW)` of cells from `Canvas.read`."""
    return cells[:, : -COLOURS - 1].unflatten(1, (COEFFICIENTS, -1))  # type: ignore[no-untyped-call, no-any-return]


class Canvas(NamedTuple):
    """The look of the places of a scene, averaged over key frames.

    Attributes:
        values: grid and mean colour of each cell, `(1, 12 D + 3, EXTENT GH, EXTENT GW)`.
        weight: number of key frames that saw a cell; less than 1 at the border of a frame, `(EXTENT GH, EXTENT GW)`.
        pose: motion from positions in the canvas to positions in the first frame of the shot.
    """

    values: torch.Tensor
    weight: torch.Tensor
    pose: Motion

    @classmethod
    def empty(cls, grid: torch.Tensor) -> "Canvas":
        """Return a canvas without a look, for grids like the given one: the identity with weight 0."""
        _, _, depth, height, width = grid.shape
        sides = (EXTENT * height, EXTENT * width)
        identity = identity_grid(1, depth, *sides, grid.device, grid.dtype).flatten(1, 2)
        values = torch.cat([identity, identity.new_zeros(1, COLOURS, *sides)], 1)
        return cls(values, values.new_zeros(sides), Motion())

    def add(self, grid: torch.Tensor, thumbnail: torch.Tensor, pose: Motion, follow: float = FOLLOW) -> "Canvas":
        """Return the canvas after one more key frame.

        Args:
            grid: predicted grid of the key frame, `(1, 12, D, GH, GW)`.
            thumbnail: the key frame, `(1, 3, S, S)`.
            pose: motion from positions in the key frame to positions in the first frame of the shot.
            follow: share of the key frame in the look of a place that keeps its colours, in [0, 1].
        """
        height, width = grid.shape[-2:]
        colours = F.interpolate(thumbnail.to(grid), (height, width), mode="area")
        canvas = self._around(pose)
        rows, columns = canvas.weight.shape
        places = pose.inverse().after(canvas.pose).positions(rows, columns, EXTENT).to(grid)
        frame = torch.cat([grid.flatten(1, 2), colours], 1)
        new = F.grid_sample(frame, places[None], align_corners=False, padding_mode="border")
        right, down = ((1 + 1 / n - places[..., axis].abs()) * n / 2 for axis, n in ((0, width), (1, height)))
        seen = right.clamp(0, 1) * down.clamp(0, 1)
        known = seen * (canvas.weight / (canvas.weight + 0.5))
        change = (new - canvas.values)[0, -COLOURS:].abs().mean(0) * known
        spread = F.avg_pool2d(torch.stack([change, known])[:, None], NEIGHBOURS, 1, NEIGHBOURS // 2)
        change = spread[0, 0] / (spread[1, 0] + 1e-6)
        least = 1 - (1 - follow) * torch.exp(-((change / CHANGED) ** 2))
        weight = canvas.weight + seen
        share = seen * torch.maximum(1 / weight.clamp_min(1e-6), least)
        return Canvas(torch.lerp(canvas.values, new, share), weight, canvas.pose)

    def read(self, pose: Motion) -> torch.Tensor:
        """Return the cells of a frame from its pose, `(1, 12 D + 4, GH, GW)`: grid, mean colour, and weight up to 1."""
        rows, columns = (side // EXTENT for side in self.weight.shape)
        places = self.pose.inverse().after(pose).positions(rows, columns).to(self.values)[None] / EXTENT
        weight = self.weight.clamp(max=1)[None, None]
        cells = [F.grid_sample(x, places, align_corners=False, padding_mode="border") for x in (self.values, weight)]
        return torch.cat(cells, 1)

    def _around(self, pose: Motion) -> "Canvas":
        """Return a canvas that contains a frame; this canvas if possible, otherwise a canvas around the frame."""
        relative = self.pose.inverse().after(pose)
        reach = max(abs(relative.x), abs(relative.y)) + relative.zoom
        if reach <= EXTENT and relative.zoom > 0.5:
            return self
        rows, columns = self.weight.shape
        places = relative.positions(rows, columns, EXTENT).to(self.values)[None] / EXTENT
        both = torch.cat([self.values, self.weight[None, None]], 1)
        moved = F.grid_sample(both, places, align_corners=False, padding_mode="border")
        inside = (places[0].abs().amax(-1) <= 1).to(self.values)
        return Canvas(moved[:, :-1], (moved[0, -1] * inside), pose)
