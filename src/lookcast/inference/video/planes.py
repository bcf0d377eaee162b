"""Conversion between the planes of a video frame and R'G'B' pixels of 16 bits, on the CPU."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lookcast.inference.video.color import Codes
from lookcast.inference.video.rows import read_row, write_chroma, write_row
from lookcast.ops.bilateral.cpu import compile_kernel

Plane = npt.NDArray[Any]

_WHITE = 65535
_BAND = 64
"""Minimum number of rows per thread."""


def to_pixels(planes: list[Plane], codes: Codes) -> npt.NDArray[np.uint16]:
    """Convert planes to R'G'B'.

    Args:
        planes: luma `(H, W)` and two chroma planes `(h, w)`, uint8 or uint16, or the planes G', B' and R'.
        codes: the maps for these planes.

    Returns:
        `(H, W, 3)`, uint16, clamped to the range of the type.
    """
    height, width = planes[0].shape
    pixels = np.empty((height, width, 3), np.uint16)
    reading, _ = maps_of(codes)
    factors = chroma_factors(planes)
    in_bands(lambda top, bottom: _read_rows(*planes, *factors, reading, pixels, top, bottom), height, 1)
    return pixels


def from_pixels(pixels: npt.NDArray[np.uint16], planes: list[Plane], codes: Codes) -> None:
    """Write pixels over the planes that `to_pixels` has read.

    Args:
        pixels: R'G'B' `(H, W, 3)`, uint16.
        planes: see `to_pixels`; the planes are overwritten.
        codes: see `to_pixels`.
    """
    before, factors, maximum = [plane.copy() for plane in planes[1:]], chroma_factors(planes), np.float32(codes.maximum)

    def run(top: int, bottom: int) -> None:
        _write_rows(pixels, *planes, *before, *factors, maps_of(codes), maximum, top, bottom)

    in_bands(run, planes[1].shape[0], factors[1])


def maps_of(codes: Codes) -> npt.NDArray[np.float32]:
    """Return the maps from codes to R'G'B' and back for the kernels, `(2, 3, 4)`."""
    return np.stack([codes.to_rgb, codes.from_rgb]).astype(np.float32)


def chroma_factors(planes: list[Plane]) -> tuple[int, int]:
    """Return how many luma columns and rows belong to one chroma sample."""
    (height, width), (chroma_height, chroma_width) = planes[0].shape, planes[1].shape
    return -(-width // chroma_width), -(-height // chroma_height)


def in_bands(run: Callable[[int, int], None], rows: int, rows_per_unit: int) -> None:
    """Call `run(top, bottom)` for bands of rows in parallel; a unit stands for `rows_per_unit` rows of pixels."""
    threads = max(1, min(torch.get_num_threads(), rows * rows_per_unit // _BAND))
    if threads == 1:
        run(0, rows)
        return
    bounds = [rows * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda band: run(*band), pairwise(bounds)))


@compile_kernel
def _read_rows(luma, first, second, across, down, map_, pixels, top, bottom):  # type: ignore[no-untyped-def]
    """Convert rows `top` to `bottom` to pixels."""
    width = luma.shape[1]
    memory = np.empty(first.shape[1], np.float32)
    codes, colours = np.empty((3, width), np.float32), np.empty((3, width), np.float32)
    half, white = np.float32(0.5), np.float32(_WHITE)
    for y in range(top, bottom):
        read_row(luma[y], first, second, y, across, down, map_, memory, codes, colours)
        for x in range(width):
            for channel in range(3):
                pixels[y, x, channel] = np.int32(white * colours[channel, x] + half)


@compile_kernel
def _write_rows(  # type: ignore[no-untyped-def]
    pixels, luma, first, second, first_before, second_before, across, down, maps, maximum, top, bottom
):
    """Convert the rows that belong to the chroma rows `top` to `bottom`."""
    height, width = luma.shape
    memory, changes = np.empty(first.shape[1], np.float32), np.empty((2, width), np.float32)
    codes, colours = np.empty((3, width), np.float32), np.empty((3, width), np.float32)
    for chroma_row in range(top, bottom):
        start, end = chroma_row * down, min((chroma_row + 1) * down, height)
        changes[:] = 0
        for y in range(start, end):
            read_row(luma[y], first_before, second_before, y, across, down, maps[0], memory, codes, colours)
            for x in range(width):
                for channel in range(3):
                    colours[channel, x] = np.float32(pixels[y, x, channel]) / np.float32(_WHITE)
            write_row(colours, codes, maps[1], maximum, luma[y], changes)
        scale = np.float32(1 / (end - start))
        write_chroma(changes[0], first_before[chroma_row], across, scale, maximum, memory, first[chroma_row])
        write_chroma(changes[1], second_before[chroma_row], across, scale, maximum, memory, second[chroma_row])
