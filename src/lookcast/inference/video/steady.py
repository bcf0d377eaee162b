"""Grids of a clip that are steady over time and follow the content."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Literal

import torch

from lookcast.checks import InputError
from lookcast.inference.video.canvas import Canvas
from lookcast.inference.video.motion import Motion, estimate_motion, pyramid
from lookcast.inference.video.shots import CUT_AHEAD, contrast, find_shots
from lookcast.ops.bilateral.reference import identity_grid

Predict = Callable[[torch.Tensor], torch.Tensor]
"""A function from a thumbnail `(1, 3, S, S)` to its grid `(1, 12, D, GH, GW)`."""

KEY = 6
"""Distance of the key frames of a shot, in frames. `smooth` predicts grids for key frames only."""
KEYS_AHEAD = 1
"""Number of later key frames on which the grid of a key frame depends."""
LOOKAHEAD = KEY * (KEYS_AHEAD + 1) - 1 + CUT_AHEAD
"""Largest number of thumbnails that `steady_grids` reads beyond the frame whose grid it yields."""
SHOT_KEY = 12
"""Distance of the frames of a shot for which `shot_grids` predicts grids, in frames."""
CLEAR = 0.05
"""Contrast from which a prediction is fully trusted. The prediction for an almost flat frame means little."""
ADAPTATION = 0.2
"""Share of a new key frame in the contrast that is usual in a shot."""


def steady_grids(
    thumbnails: Iterable[torch.Tensor], predict: Predict, mode: Literal["smooth", "off"] = "smooth"
) -> Iterator[torch.Tensor]:
    """Return an iterator over the grids of the frames of a clip.

    `smooth` predicts grids for every `KEY`-th frame of a shot. A `Canvas` that moves with the camera averages the
    predictions, so that each place of the scene keeps its look while it keeps its colours. Shots share nothing, so a
    shot has the same grids as a clip that starts with it. `off` predicts each frame for itself.

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
    square of its contrast, so that the frames of a fade count little. A shot of black frames gets the identity.

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
        count = 0
        weight = 1e-6
        for count, frame in enumerate(frames):
            if count % SHOT_KEY:
                continue
            grid = predict(frame.thumbnail)
            if count == 0:
                _, _, depth, height, width = grid.shape
                mean = identity_grid(1, depth, height, width, grid.device, grid.dtype)
            new = contrast(frame.thumbnail) ** 2
            weight += new
            mean = torch.lerp(mean, grid, new / weight)
        found.append((first, mean))
        first += count + 1
    return found


def _smooth_shot(thumbnails: Iterable[torch.Tensor], predict: Predict) -> Iterator[torch.Tensor]:
    """Yield the grids of the frames of one shot; see `steady_grids`."""
    poses: deque[Motion] = deque()  # of the frames whose grids are due
    canvases: deque[Canvas] = deque()  # from the key frame before the first of them
    due = 0  # number of the first of them in the shot
    before: list[torch.Tensor] = []
    motion, pose = Motion(), Motion()
    usual = 0.0

    def next_grid() -> torch.Tensor:
        nonlocal due
        older, newer = (canvases[min(KEYS_AHEAD + later, len(canvases) - 1)] for later in (0, 1))
        place = poses.popleft()
        grid = older.read(place)
        if newer is not older and due % KEY:
            grid = torch.lerp(grid, newer.read(place), due % KEY / KEY)
        due += 1
        if due % KEY == 0:
            canvases.popleft()
        return grid

    for number, thumbnail in enumerate(thumbnails):
        levels = pyramid(thumbnail)
        if number:
            motion = estimate_motion(before, levels, motion)
            pose = pose.after(motion)
        before = levels
        poses.append(pose)
        if number % KEY == 0:
            seen = contrast(thumbnail)
            usual = max(seen, usual) if number else seen
            # A fade changes all colours, but the look must not follow it. While contrast is lost, trust is small.
            trust = min(1.0, seen / CLEAR) ** 4 * (seen / max(usual, 1e-6)) ** 4
            usual += ADAPTATION * (seen - usual)
            grid = predict(thumbnail)
            last = canvases[-1] if canvases else Canvas.empty(grid)
            canvases.append(last.add(grid, thumbnail, pose, trust))
        while poses and len(canvases) > KEYS_AHEAD + (due % KEY > 0):
            yield next_grid()
    while poses:
        yield next_grid()
