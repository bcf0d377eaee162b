"""Applying a grid to the planes of a frame on the CPU, in bands of a few rows that stay in the cache.

The result equals `to_pixels`, `apply_grid_to_pixels` and `from_pixels` in a row, which write all pixels to memory three
times.
"""

import numpy as np
import torch

from lookcast.inference.video.color import Codes
from lookcast.inference.video.planes import (
    Plane,
    chroma_factors,
    coefficients_of,
    in_bands,
    read_rows,
    write_rows,
)
from lookcast.ops.bilateral.cpu import arrange_cells, compile_kernel, slice_by_block, slice_by_pixel

_WHITE = 65535
_ROWS = 16
"""Rows of pixels in a band. In 4K, two bands of 16-bit pixels take 740 kB."""


def restyle(planes: list[Plane], codes: Codes, grid: torch.Tensor) -> None:
    """Apply a grid to the planes of a frame.

    Args:
        planes: luma `(H, W)` and two chroma planes `(h, w)`, uint8 or uint16, or the planes G', B' and R'. They are
            overwritten.
        codes: the maps for these planes.
        grid: `(12, D, GH, GW)` on the CPU.
    """
    cells, by_block = arrange_cells(grid, float(_WHITE))
    before, factors = [plane.copy() for plane in planes[1:]], chroma_factors(planes)
    maps, maximum, white = coefficients_of(codes), np.float32(codes.maximum), np.int32(_WHITE)
    kernel = _restyle_by_block if by_block else _restyle_by_pixel

    def run(top: int, bottom: int) -> None:
        kernel(cells, *grid.shape[1:], *planes, *before, *factors, *maps, maximum, white, top, bottom)

    in_bands(run, planes[1].shape[0], factors[1])


@compile_kernel
def _restyle_by_block(  # type: ignore[no-untyped-def]
    cells, depth, grid_height, grid_width, luma, first, second, first_before, second_before,
    across, down, reading, writing, maximum, white, top, bottom,
):  # fmt: skip
    """Change the rows that belong to the chroma rows `top` to `bottom`."""
    height, width = luma.shape
    units = max(1, _ROWS // down)
    source = np.empty((units * down, 3 * width), np.uint16)
    result = np.empty((units * down, 3 * width), np.uint16)
    source_pixels, result_pixels = source.reshape((-1, width, 3)), result.reshape((-1, width, 3))
    for unit in range(top, bottom, units):
        last = min(unit + units, bottom)
        start, end = unit * down, min(last * down, height)
        read_rows(luma, first_before, second_before, across, down, reading, source, start, end, start)
        slice_by_block(
            cells, depth, grid_height, grid_width, source_pixels, result_pixels, source, result, 0, end - start,
            white, height, start,
        )  # fmt: skip
        write_rows(
            result, luma, first, second, first_before, second_before, across, down, writing, maximum, unit, last, start
        )


@compile_kernel
def _restyle_by_pixel(  # type: ignore[no-untyped-def]
    cells, depth, grid_height, grid_width, luma, first, second, first_before, second_before,
    across, down, reading, writing, maximum, white, top, bottom,
):  # fmt: skip
    """Change the rows that belong to the chroma rows `top` to `bottom`.

    One kernel with a branch would compile `slice_by_block` too, which not every processor can.
    """
    height, width = luma.shape
    units = max(1, _ROWS // down)
    source = np.empty((units * down, 3 * width), np.uint16)
    result = np.empty((units * down, 3 * width), np.uint16)
    source_pixels, result_pixels = source.reshape((-1, width, 3)), result.reshape((-1, width, 3))
    for unit in range(top, bottom, units):
        last = min(unit + units, bottom)
        start, end = unit * down, min(last * down, height)
        read_rows(luma, first_before, second_before, across, down, reading, source, start, end, start)
        slice_by_pixel(
            cells, depth, grid_height, grid_width, source_pixels, result_pixels, 0, end - start, white, height, start
        )
        write_rows(
            result, luma, first, second, first_before, second_before, across, down, writing, maximum, unit, last, start
        )
