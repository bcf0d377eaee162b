"""Applying a grid to the planes of a frame on the CPU, in one pass over the rows.

The result equals `to_pixels`, `apply_grid_to_pixels` and `from_pixels` in a row, except that these round to 16 bits in
between, and write all pixels to memory three times.
"""

import numpy as np
import torch

from lookcast.inference.video.color import Codes
from lookcast.inference.video.planes import Plane, chroma_factors, in_bands, maps_of
from lookcast.inference.video.rows import read_row, write_chroma, write_row
from lookcast.ops.bilateral.cpu import arrange_cells, compile_kernel, interpolate_cells
from lookcast.ops.bilateral.cpu_llvm import CELL, transform_pixel, transform_planar_block
from lookcast.ops.bilateral.cpu_vectors import LANES
from lookcast.ops.color import LUMA


def restyle(planes: list[Plane], codes: Codes, grid: torch.Tensor) -> None:
    """Apply a grid to the planes of a frame.

    Args:
        planes: luma `(H, W)` and two chroma planes `(h, w)`, uint8 or uint16, or the planes G', B' and R'. They are
            overwritten.
        codes: the maps for these planes.
        grid: `(12, D, GH, GW)` on the CPU.
    """
    cells, by_block = arrange_cells(grid, 1.0)
    before, factors = [plane.copy() for plane in planes[1:]], chroma_factors(planes)
    size, blocks = grid.shape[1:], True if by_block else None
    maps, maximum = maps_of(codes), np.float32(codes.maximum)

    def run(top: int, bottom: int) -> None:
        _restyle_rows(cells, blocks, *size, *planes, *before, *factors, maps, maximum, top, bottom)

    in_bands(run, planes[1].shape[0], factors[1])


@compile_kernel
def _restyle_rows(  # type: ignore[no-untyped-def]
    cells, blocks, depth, grid_height, grid_width, luma, first, second, first_before, second_before,
    across, down, maps, maximum, top, bottom,
):  # fmt: skip
    """Change the rows that belong to the chroma rows `top` to `bottom`.

    `blocks` is None for cells for single pixels. numba then leaves out the code for blocks, which not every processor
    can run.
    """
    height, width = luma.shape
    table = np.zeros(2 * cells.shape[1] * cells.shape[2], np.float32)
    memory, changes = np.empty(first.shape[1], np.float32), np.empty((2, width), np.float32)
    codes = np.empty((3, width), np.float32)
    colours, result = np.zeros((3, width + LANES), np.float32), np.empty((3, width + LANES), np.float32)
    for chroma_row in range(top, bottom):
        start, end = chroma_row * down, min((chroma_row + 1) * down, height)
        changes[:] = 0
        for y in range(start, end):
            read_row(luma[y], first_before, second_before, y, across, down, maps[0], memory, codes, colours)
            interpolate_cells(cells, (y + 0.5) * grid_height / height - 0.5, table)
            if blocks is None:
                _slice_by_pixel(table, cells.shape[2], grid_width, colours, result, width)
            else:
                _slice_by_block(table, cells.shape[2], depth, grid_width, colours, result, width)
            write_row(result, codes, maps[1], maximum, luma[y], changes)
        scale = np.float32(1 / (end - start))
        write_chroma(changes[0], first_before[chroma_row], across, scale, maximum, memory, first[chroma_row])
        write_chroma(changes[1], second_before[chroma_row], across, scale, maximum, memory, second[chroma_row])


@compile_kernel
def _slice_by_block(table, size, depth, grid_width, colours, result, width):  # type: ignore[no-untyped-def]
    """Transform one row.

    A block may end beyond its interval or beyond the row. The blocks of the next interval write these pixels again.
    """
    source, target = colours.reshape(-1), result.reshape(-1)
    step, levels = np.float32(grid_width / width), np.int32(max(depth, 2))
    half_size = table.shape[0] // 2
    last_left = half_size // size - 2
    # Each interval spans two neighbouring cell centres; the first and the last interval are half a cell wide.
    for cell in range(-1, grid_width):
        first = max(0, int(np.ceil((cell + 0.5) * width / grid_width - 0.5)))
        last = min(width, int(np.ceil((cell + 1.5) * width / grid_width - 0.5)))
        left = min(max(cell, 0), last_left)
        for x in range(first, last, LANES):
            along = np.float32((x + 0.5) * grid_width / width - 0.5 - left)
            transform_planar_block(
                table, left * size, half_size, source, target, x, colours.shape[1], along, step, levels
            )


@compile_kernel
def _slice_by_pixel(table, size, grid_width, colours, result, width):  # type: ignore[no-untyped-def]
    """Transform one row."""
    half_size = table.shape[0] // 2
    cells, levels = half_size // size, size // CELL
    half, zero, one = np.float32(0.5), np.float32(0), np.float32(1)
    red_weight, green_weight, blue_weight = (
        np.float32(LUMA[0] * levels),
        np.float32(LUMA[1] * levels),
        np.float32(LUMA[2] * levels),
    )
    for x in range(width):
        across = min(max((x + 0.5) * grid_width / width - 0.5, 0.0), grid_width - 1.0)
        left = min(int(across), cells - 2)
        red, green, blue = colours[0, x], colours[1, x], colours[2, x]
        guide = min(
            max(red_weight * red + green_weight * green + blue_weight * blue - half, zero), np.float32(levels - 1)
        )
        level = min(int(guide), levels - 2)
        here = left * size + level * CELL
        along, into = np.float32(across - left), guide - np.float32(level)
        changed = transform_pixel(table, here, here + CELL, half_size, red, green, blue, along, into, one)
        for channel in range(3):
            result[channel, x] = changed[channel]
