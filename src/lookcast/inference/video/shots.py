"""Shots of a clip: hard cuts, and the black gaps between fades."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from lookcast.checks import ShapeError, check_image
from lookcast.ops.resize import shrink_to_side

CUT_AHEAD = 2
"""Number of frames after a frame, and before it, that `find_shots` compares with the frame."""
MIN_CHANGE = 0.04
"""Smallest change of a cut: mean absolute difference of neighbouring frames, shrunk to `CHANGE_SIDE`."""
MIN_RATIO = 2.0
"""Smallest ratio of the change at a cut to the largest change in its neighbourhood."""
CHANGE_SIDE = 32
"""Side of the images that are compared. At this side, noise and small motion change little."""
DARK = 0.03
"""Brightness below which a frame is black, such as the frames between two fades."""
SIDE_UNIT = 64
"""The side of a thumbnail is a multiple of this number, so that block averages shrink it."""


class Frame(NamedTuple):
    """A thumbnail and its place in the shots.

    Attributes:
        thumbnail: `(1, 3, S, S)` in [0, 1].
        shot: number of the shot in the clip, from 0.
    """

    thumbnail: torch.Tensor
    shot: int


def brightness(thumbnail: torch.Tensor) -> float:
    """Return the mean of a thumbnail plus its standard deviation, so that few lights at night count too."""
    small = shrink_to_side(thumbnail, CHANGE_SIDE)
    return (small.mean() + small.std()).item()


def find_shots(thumbnails: Iterable[torch.Tensor]) -> Iterator[Frame]:
    """Find the shots of a clip.

    A hard cut is a change that stands out: at least `MIN_CHANGE`, and at least `MIN_RATIO` times every other change
    among the `CUT_AHEAD` frames on both sides. Fast motion has large neighbours, and a flash has two large changes, so
    neither is a cut. A slow fade or dissolve has no large change. A shot also starts at the first frame after
    black frames, so both fades around a black gap are whole. The rule follows the adaptive detector of
    PySceneDetect, which compares a change with the mean of its neighbourhood instead, and so sees a cut in a flash.

    Args:
        thumbnails: the thumbnails of the frames in order, `(1, 3, S, S)` in [0, 1] each.

    Yields:
        One `Frame` for each thumbnail, in order. At most `CUT_AHEAD` further thumbnails have been read.
    """
    waiting: deque[tuple[torch.Tensor, torch.Tensor]] = deque()  # thumbnails, and the same at `CHANGE_SIDE`
    changes = deque([0.0] * CUT_AHEAD)  # from `CUT_AHEAD` frames before the first waiting frame
    small: torch.Tensor | None = None
    shot, dark = 0, False

    def next_frame() -> Frame:
        nonlocal shot, dark
        thumbnail, image = waiting.popleft()
        was_dark, dark = dark, brightness(image) < DARK
        change = changes[CUT_AHEAD]
        others = max(value for place, value in enumerate(changes) if place != CUT_AHEAD)
        changes.popleft()
        if change >= max(MIN_CHANGE, MIN_RATIO * others) or (was_dark and not dark):
            shot += 1
        return Frame(thumbnail, shot)

    for thumbnail in thumbnails:
        check_thumbnail(thumbnail)
        last, small = small, shrink_to_side(thumbnail, CHANGE_SIDE)
        waiting.append((thumbnail, small))
        changes.append(0.0 if last is None else (small - last).abs().mean().item())
        if len(waiting) > CUT_AHEAD:
            yield next_frame()
    while waiting:
        changes.append(0.0)
        yield next_frame()


def check_thumbnail(thumbnail: torch.Tensor) -> None:
    """Check the shape of a thumbnail: `(1, 3, S, S)`, where S is a multiple of 64.

    Raises:
        InputError: the shape differs, or the values are no floating point.
    """
    check_image("thumbnail", thumbnail)
    batch, _, height, width = thumbnail.shape
    if batch != 1 or height != width or height % SIDE_UNIT or not height:
        raise ShapeError("thumbnail", f"(1, 3, S, S) with S a multiple of {SIDE_UNIT}", thumbnail.shape)
