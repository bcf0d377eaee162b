"""Stylizing of one clip: decoding, network, slicing and encoding overlap in threads with bounded queues."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

import torch

from lookcast.inference.video.frames import Frame
from lookcast.inference.video.look import ClipLook

_T = TypeVar("_T")
Grids = Callable[[Iterable[torch.Tensor]], Iterator[torch.Tensor]]
"""A function that takes the thumbnails of a clip and yields a grid for each."""
AHEAD = 4
"""Number of items that a stage may be ahead of the next stage."""
_END = object()


def read_ahead(items: Iterable[_T], size: int = AHEAD) -> Generator[_T]:
    """Yield items that another thread computes in advance.

    Args:
        items: the items. They are computed in one thread.
        size: number of items that wait at most.

    Raises:
        Exception: the error that `items` raised.
    """
    waiting: queue.Queue[Any] = queue.Queue(size)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        end: tuple[Any, BaseException | None] = (_END, None)
        source = iter(items)
        try:
            for item in source:
                if not put((item, None)):
                    break
        except BaseException as error:  # the thread that takes the items raises the error
            end = (_END, error)
        finally:
            if hasattr(source, "close"):
                source.close()
        put(end)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def with_grids(
    items: Iterable[Any], grids: Grids, look: ClipLook, size: tuple[int, int]
) -> Iterator[tuple[Any, torch.Tensor | None]]:
    """Combine each frame with its grid.

    Args:
        items: frames, and items of other types, which have no grid.
        grids: see `Grids`. As many frames are kept as `grids` reads thumbnails ahead.
        look: the look, which gets each frame while its grid may be asked for.
        size: height and width of the upright frames.

    Yields:
        Pairs (item, grid) in the order of the items; the grid is None for items that are not frames.
    """
    waiting: deque[Any] = deque()

    def thumbnails() -> Iterator[torch.Tensor]:
        for item in items:
            waiting.append(item)
            if isinstance(item, Frame):
                look.note(item, size)
                yield item.thumbnail

    for grid in grids(thumbnails()):
        while not isinstance(waiting[0], Frame):
            yield waiting.popleft(), None
        yield waiting.popleft(), grid
    while waiting:
        yield waiting.popleft(), None
