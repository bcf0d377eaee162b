"""Fused kernels for CPUs: guide, slicing, colour transform, clamping and rounding in one pass over the pixels.

A kernel reads a photo once and writes the result once, in the type of the photo. It needs no other array of the photo's
size. It interpolates the grid along y once per row of pixels, and along x and depth once per pixel. There are two
kernels:

* `slice_by_block` transforms 8 or 16 pixels at a time. It needs a CPU that permutes vectors by variable indices (x86
  from 2013 on). For each of the twelve coefficients, one vector holds the values at all depths of a cell.
* `slice_by_pixel` transforms one pixel at a time, which takes two and a half times as long. It serves other CPUs, and
  grids with more depths than a vector has lanes. A vector holds the coefficients of one cell.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

from lookcast.ops.bilateral.cpu_llvm import CELL, transform_block, transform_pixel
from lookcast.ops.bilateral.cpu_vectors import LANES
from lookcast.ops.color import LUMA
from lookcast.processes import deferred_interrupt

_BAND = 64
"""Minimum number of rows per thread."""

logger = logging.getLogger(__name__)


def apply_grid_to_pixels(
    grid: torch.Tensor, pixels: torch.Tensor, first: int = 0, height: int | None = None
) -> torch.Tensor:
    """Apply a grid `(12, D, GH, GW)` to rows `(h, W, 3)` of a photo; see `dispatch.apply_grid_to_pixels`.

    Args:
        grid: the grid.
        pixels: the rows.
        first: number of the first of the rows in the photo.
        height: height of the photo; None if the rows are the whole photo.
    """
    levels = np.float32(1) if pixels.is_floating_point() else np.int32(torch.iinfo(pixels.dtype).max)
    source = pixels.numpy()
    height = len(source) if height is None else height
    result: npt.NDArray[Any] = np.empty_like(source)
    cells, by_block = arrange_cells(grid, float(levels))
    size = grid.shape[1:]
    arguments: tuple[Any, ...] = (source, result)
    if by_block:  # the kernel needs contiguous rows, from a view of the photo or copied row by row
        packed = source.flags.c_contiguous
        shape = (len(source), -1) if packed else (0, 0)
        arguments += tuple(array.reshape(shape) if packed else np.empty(shape, array.dtype) for array in arguments)
    threads = max(1, min(torch.get_num_threads(), len(source) // _BAND))
    bounds = [len(source) * i // threads for i in range(threads + 1)]

    def run(band: tuple[int, int]) -> None:
        (slice_by_block if by_block else slice_by_pixel)(cells, *size, *arguments, *band, levels, height, first)

    # numba's own threads would not do, because only one Python thread at a time may use them.
    with deferred_interrupt(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, pairwise(bounds)))
    return torch.from_numpy(result)


def arrange_cells(grid: torch.Tensor, levels: float) -> tuple[npt.NDArray[np.float32], bool]:
    """Arrange a grid `(12, D, GH, GW)` for a kernel.

    Args:
        grid: the grid.
        levels: the value of white.

    Returns:
        The cells, and True if they are for `slice_by_block`, False if they are for `slice_by_pixel`.
    """
    padded = _pad(grid, levels)
    by_block = padded.shape[3] <= LANES
    return _for_blocks(padded) if by_block else _for_pixels(padded), by_block


def _pad(grid: torch.Tensor, levels: float) -> torch.Tensor:
    """Reorder a grid to `(GH, GW, 12, D)`, and multiply the offsets of the transforms by `levels`.

    The cell of an axis with only one cell is repeated, so that GH, GW and D are at least 2.
    """
    cells = grid.detach().to("cpu", torch.float32).permute(2, 3, 0, 1).clone()
    cells[:, :, 3::4] *= levels
    for dim in (0, 1, 3):
        if cells.shape[dim] == 1:  # interpolation needs a neighbour, even with weight 0
            cells = cells.repeat_interleave(2, dim)
    return cells


def _for_blocks(cells: torch.Tensor) -> npt.NDArray[np.float32]:
    """Pad the depths of the cells with zeros: from `(GH, GW, 12, D)` to `(GH, GW, 12 * LANES)`."""
    padded = torch.nn.functional.pad(cells, (0, LANES - cells.shape[3]))
    return np.ascontiguousarray(padded.flatten(2).numpy())


def _for_pixels(cells: torch.Tensor) -> npt.NDArray[np.float32]:
    """Reorder the cells to `(GH, GW, D * 16)`: the four columns of a 3x4 transform, each padded to four values."""
    columns = cells.reshape(*cells.shape[:2], 3, 4, -1).permute(0, 1, 4, 3, 2)
    return np.ascontiguousarray(torch.nn.functional.pad(columns, (0, 1)).flatten(2).numpy())


def compile_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at the first call and cache the machine code for later processes.

    numba compiles again after a change of the function's own file, but not after a change of a file from which the
    function calls. After a change of `cpu_llvm` or `cpu_vectors`, run `touch` on this file, and on the files that
    use its kernels.
    """
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError as error:  # neither the package folder nor the user's cache folder is writable
        logger.warning("kernels are compiled anew in every process: %s", error)
        return njit(**options)(function)


@compile_kernel
def interpolate_cells(cells, position, table):  # type: ignore[no-untyped-def]
    """Interpolate the cells along y, for one row of pixels.

    Args:
        cells: the values of the cells, `(GH, GW, size)`.
        position: position in the grid, in cells. 0 is the centre of the first row of cells.
        table: the first `GW * size` values receive the cells of this row. For each value, the second half receives the
            value of the next cell minus this value.
    """
    size = cells.shape[2]
    length = cells.shape[1] * size
    grid = cells.reshape(cells.shape[0], length)
    position = min(max(position, 0.0), cells.shape[0] - 1.0)
    above = min(int(position), cells.shape[0] - 2)
    weight = np.float32(position - above)
    # numba compiles loops over flat arrays to vector code, but not if it must check indices for negative values.
    upper, lower = grid[above], grid[above + 1]
    for i in range(length):
        table[i] = upper[i] + weight * (lower[i] - upper[i])
    here, following, change = table[: length - size], table[size:length], table[length : 2 * length - size]
    for i in range(length - size):
        change[i] = following[i] - here[i]


@compile_kernel
def slice_by_block(  # type: ignore[no-untyped-def]
    cells, depth, height, width, source, result, packed_source, packed_result, top, bottom, levels, rows, start
):
    """Transform rows `top` to `bottom` of a band of a photo with `rows` rows, whose first row is row `start`.

    `levels` is the value of white, an integer for integer pixels.
    """
    columns = source.shape[1]
    size = 12 * LANES
    slope = cells.shape[1] * size
    table = np.zeros(2 * slope, np.float32)
    line, changed = np.empty(3 * columns, source.dtype), np.empty(3 * columns, source.dtype)
    rest, rest_changed = np.zeros(3 * LANES, source.dtype), np.empty(3 * LANES, source.dtype)
    step = np.float32(width / columns)
    red, green, blue = LUMA[0] * depth / levels, LUMA[1] * depth / levels, LUMA[2] * depth / levels
    levels_of_depth = np.int32(max(depth, 2))  # a grid of depth 1 is padded to two equal depths
    for row in range(top, bottom):
        interpolate_cells(cells, (start + row + 0.5) * height / rows - 0.5, table)
        if len(packed_source):
            line, changed = packed_source[row], packed_result[row]
        else:
            for x in range(columns):
                for channel in range(3):
                    line[3 * x + channel] = source[row, x, channel]
        # Each interval spans two neighbouring cell centres; the first and the last interval are half a cell wide.
        for cell in range(-1, width):
            first = max(0, int(np.ceil((cell + 0.5) * columns / width - 0.5)))
            last = min(columns, int(np.ceil((cell + 1.5) * columns / width - 0.5)))
            left = min(max(cell, 0), cells.shape[1] - 2)
            for block in range(first, last, LANES):
                # The last block of an interval overlaps the previous block. A narrow interval has no previous block.
                narrow = last - first < LANES
                x = block if narrow else min(block, last - LANES)
                along = np.float32((x + 0.5) * width / columns - 0.5 - left)
                if not narrow:
                    transform_block(
                        table, left * size, slope, line, 3 * x, changed, 3 * x,
                        along, step, red, green, blue, levels_of_depth, levels,
                    )  # fmt: skip
                    continue
                count = 3 * (last - x)
                for i in range(count):
                    rest[i] = line[3 * x + i]
                transform_block(
                    table, left * size, slope, rest, 0, rest_changed, 0,
                    along, step, red, green, blue, levels_of_depth, levels,
                )  # fmt: skip
                for i in range(count):
                    changed[3 * x + i] = rest_changed[i]
        if not len(packed_source):
            for x in range(columns):
                for channel in range(3):
                    result[row, x, channel] = changed[3 * x + channel]


@compile_kernel
def slice_by_pixel(  # type: ignore[no-untyped-def]
    cells, depth, height, width, source, result, top, bottom, levels, rows, start
):
    """Transform rows `top` to `bottom` of a band; see `slice_by_block`."""
    columns = source.shape[1]
    levels_of_depth = cells.shape[2] // CELL
    size = cells.shape[1] * cells.shape[2]
    table = np.zeros(2 * size, np.float32)
    step, half, zero = np.float32(width / columns), np.float32(0.5), np.float32(0)
    red_weight, green_weight, blue_weight = (
        np.float32(LUMA[0] * depth / levels),
        np.float32(LUMA[1] * depth / levels),
        np.float32(LUMA[2] * depth / levels),
    )
    for row in range(bottom - top):
        y = np.uintp(top + row)  # unsigned, because numba tests signed indices for negative values
        interpolate_cells(cells, (start + top + row + 0.5) * height / rows - 0.5, table)
        # Each interval spans two neighbouring cell centres; the first and the last interval are half a cell wide.
        for cell in range(-1, width):
            first = max(0, int(np.ceil((cell + 0.5) * columns / width - 0.5)))
            last = min(columns, int(np.ceil((cell + 1.5) * columns / width - 0.5)))
            left = min(max(cell, 0), cells.shape[1] - 2)
            for i in range(last - first):
                x = np.uintp(first + i)
                across = min(max((np.float32(np.int32(x)) + half) * step - half, zero), np.float32(width - 1))
                red, green, blue = np.float32(source[y, x, 0]), np.float32(source[y, x, 1]), np.float32(source[y, x, 2])
                guide = red_weight * red + green_weight * green + blue_weight * blue - half
                guide = min(max(guide, zero), np.float32(depth - 1))
                # Clamped again as an integer, because a NaN guide would index outside the table.
                level = max(min(np.int32(guide), np.int32(levels_of_depth - 2)), np.int32(0))
                here = (left * levels_of_depth + np.intp(level)) * CELL
                along, into = across - np.float32(left), guide - np.float32(level)
                colour = transform_pixel(table, here, here + CELL, size, red, green, blue, along, into, levels)
                for channel in range(3):
                    result[y, x, channel] = colour[channel]
