"""The look of a scene on a canvas that moves with the camera."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from lookcast.inference.video.motion import Motion
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid

FOLLOW = 0.1
"""Share of a new key frame in the look of a place that keeps its colours."""
CHANGED = 0.06
"""Change of colour at which a place takes 63 % of its look from a new key frame."""
EXTENT = 2
"""Side of the canvas, in sides of a frame. The canvas leaves room for motion by half a frame in every direction."""
START_WEIGHT = 1e-3
"""Weight of the identity in a cell that no key frame has seen. A key frame with full trust has weight 1."""
COLOURS = 3
"""Number of channels for the mean colour of a cell."""


class Canvas(NamedTuple):
    """The look of the places of a scene, averaged over key frames.

    Attributes:
        values: grid and mean colour of each cell, `(1, 12 D + 3, EXTENT GH, EXTENT GW)`.
        weight: sum of the weights of the key frames that saw a cell, `(EXTENT GH, EXTENT GW)`.
        pose: motion from positions in the canvas to positions in the first frame of the shot.
    """

    values: torch.Tensor
    weight: torch.Tensor
    pose: Motion

    @classmethod
    def empty(cls, grid: torch.Tensor) -> "Canvas":
        """Return a canvas without a look, for grids like the given one: the identity with almost no weight."""
        _, _, depth, height, width = grid.shape
        sides = (EXTENT * height, EXTENT * width)
        identity = identity_grid(1, depth, *sides, grid.device, grid.dtype).flatten(1, 2)
        values = torch.cat([identity, identity.new_zeros(1, COLOURS, *sides)], 1)
        return cls(values, values.new_full(sides, START_WEIGHT), Motion())

    def add(self, grid: torch.Tensor, thumbnail: torch.Tensor, pose: Motion, trust: float) -> "Canvas":
        """Return the canvas after one more key frame.

        Args:
            grid: predicted grid of the key frame, `(1, 12, D, GH, GW)`.
            thumbnail: the key frame, `(1, 3, S, S)`.
            pose: motion from positions in the key frame to positions in the first frame of the shot.
            trust: weight of the key frame in [0, 1].
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
        # Neighbouring cells change together.
        spread = F.avg_pool2d(torch.stack([change, known])[:, None], 5, 1, 2)
        change = spread[0, 0] / (spread[1, 0] + 1e-6)
        follow = FOLLOW + (1 - FOLLOW) * (1 - torch.exp(-((change / CHANGED) ** 2)))
        weight = canvas.weight + trust * seen
        share = torch.maximum(trust * seen / weight, trust * seen * follow)
        return Canvas(torch.lerp(canvas.values, new, share), weight, canvas.pose)

    def read(self, pose: Motion) -> torch.Tensor:
        """Return the grid `(1, 12, D, GH, GW)` of a frame from its pose."""
        rows, columns = (side // EXTENT for side in self.weight.shape)
        places = self.pose.inverse().after(pose).positions(rows, columns).to(self.values)
        grid = self.values[:, :-COLOURS]
        values = F.grid_sample(grid, places[None] / EXTENT, align_corners=False, padding_mode="border")
        return values.view(1, COEFFICIENTS, -1, rows, columns)

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
        return Canvas(moved[:, :-1], (moved[0, -1] * inside).clamp_min(START_WEIGHT), pose)
