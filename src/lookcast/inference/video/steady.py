"""Grids of a clip that are steady over time and follow the content."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from typing import Literal

import torch

from lookcast.checks import InputError
from lookcast.inference.video.canvas import FOLLOW, Canvas, look_ahead, to_grid
from lookcast.inference.video.motion import Motion, estimate_motion, pyramid
from lookcast.inference.video.shots import CUT_AHEAD, brightness, find_shots
from lookcast.ops.bilateral.reference import identity_grid

Predict = Callable[[torch.Tensor], torch.Tensor]
"""A function from a thumbnail `(1, 3, S, S)` to its grid `(1, 12, D, GH, GW)`."""

KEY = 6
"""Distance of the key frames of a shot, in frames. `smooth` predicts grids for key frames only."""
LOOKAHEAD = 2 * KEY - 1 + CUT_AHEAD
"""Largest number of thumbnails that `steady_grids` reads beyond the frame whose grid it yields."""
SHOT_KEY = 12
"""Distance of the frames of a shot for which `shot_grids` predicts grids, in frames."""
CLEAR = 0.1
"""Brightness from which a frame gets its full look. A black frame says nothing about the look that fits it."""


def steady_grids(
    thumbnails: Iterable[torch.Tensor], predict: Predict, mode: Literal["smooth", "off"] = "smooth"
) -> Iterator[torch.Tensor]:
    """Return an iterator over the grids of the frames of a clip.

    `smooth` predicts grids for every `KEY`-th frame of a shot. A `Canvas` that moves with the camera averages the
    predictions, so that each place of the scene keeps its look while it keeps its colours. Shots share nothing, so a
    shot has the same grids as a clip that starts with it. In a fade, the look fades to the identity. `off` predicts
    each frame for itself.

    Args:
        thumbnails: the thumbnails of all frames in order, `(1, 3, S, S)` in [0, 1] each. S is a multiple of 64.
        predict: see `Predict`.
        mode: `smooth` or `off`.

    Returns:
        One grid `(1, 12, D, GH, GW)` for each thumbnail, in order. The iterator reads at most `LOOKAHEAD` thumbnails
        beyond the frame whose grid it yields, and none with `off`. It needs constant memory.

    Raises:
        InputError: the mode is unknown, or a thumbnail has another shape.
    """
    if mode == "off":
        return map(predict, thumbnails)
    if mode != "smooth":
        raise InputError(f"mode: expected smooth or off, got {mode!r}")
    shots = groupby(find_shots(thumbnails), attrgetter("shot"))
    return (grid for _, frames in shots for grid in _smooth_shot((frame.thumbnail for frame in frames), predict))


def shot_grids(thumbnails: Iterable[torch.Tensor], predict: Predict) -> list[tuple[int, torch.Tensor]]:
    """Return one grid for each shot of a clip.

    The grid is the mean of the predictions for every `SHOT_KEY`-th frame of the shot. A frame weighs as much as the
    square of its brightness, so that dark frames of a fade count little. A shot of black frames gets the identity.

    Args:
        thumbnails: see `steady_grids`.
        predict: see `Predict`.

    Returns:
        For each shot, the number of its first frame and its grid `(1, 12, D, GH, GW)`.

    Raises:
        InputError: a thumbnail has another shape.
    """
    found = []
    first = 0
    for _, frames in groupby(find_shots(thumbnails), attrgetter("shot")):
        total, weight, count = torch.zeros(()), 0.0, 0
        for count, frame in enumerate(frames, 1):
            if count % SHOT_KEY == 1:
                seen = brightness(frame.thumbnail)
                share = seen**2 + 1e-6
                grid = clear_look(predict(frame.thumbnail), min(1, seen / CLEAR))
                total, weight = total.to(grid) + share * grid, weight + share
        found.append((first, total / weight))
        first += count
    return found


def clear_look(grid: torch.Tensor, clearness: float) -> torch.Tensor:
    """Blend the grid of an almost black frame with the identity, so that a black frame stays black."""
    if clearness == 1:
        return grid
    batch, _, depth, height, width = grid.shape
    return torch.lerp(identity_grid(batch, depth, height, width, grid.device, grid.dtype), grid, clearness)


def _smooth_shot(thumbnails: Iterable[torch.Tensor], predict: Predict) -> Iterator[torch.Tensor]:
    """Yield the grids of the frames of one shot; see `steady_grids`."""
    poses: deque[Motion] = deque()  # of the frames whose grids are due
    canvases: deque[Canvas] = deque()  # from the key frame before the first of them
    due = 0  # number of the first of them in the shot
    before: list[torch.Tensor] = []
    motion, pose = Motion(), Motion()

    def next_grid() -> torch.Tensor:
        nonlocal due
        place = poses.popleft()
        cells = [canvas.read(place) for canvas in islice(canvases, 3)]
        cells += cells[-1:] * (3 - len(cells))  # at the end of the shot
        now = look_ahead(*cells[:2])
        if due % KEY:
            now = torch.lerp(now, look_ahead(*cells[1:]), due % KEY / KEY)
        due += 1
        if due % KEY == 0:
            canvases.popleft()
        return to_grid(now)

    for number, thumbnail in enumerate(thumbnails):
        levels = pyramid(thumbnail)
        if number:
            motion = estimate_motion(before, levels, motion)
            pose = pose.after(motion)
        before = levels
        poses.append(pose)
        if number % KEY == 0:
            clearness = min(1, brightness(thumbnail) / CLEAR)
            grid = clear_look(predict(thumbnail), clearness)
            last = canvases[-1] if canvases else Canvas.empty(grid)
            canvases.append(last.add(grid, thumbnail, pose, max(FOLLOW, 1 - clearness)))
        while poses and len(canvases) > 1 + (due % KEY > 0):
            yield next_grid()
    while poses:
        yield next_grid()
