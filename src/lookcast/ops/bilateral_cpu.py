"""The fused kernel for CPUs: guide, slicing, colour transform, clamping and rounding in one pass over the pixels.

A photo is read once and written once, in its own type; no plane of the photo's size exists besides the two. Per row
the grid is interpolated along y, once; what is left per pixel is linear in x and in depth: four cells of twelve
coefficients, padded to sixteen so that a cell is one vector. Numba compiles this to about 60 instructions a pixel; its
vectoriser alone, which does not see the four cells as vectors, needs twice the time.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from lookcast.ops.color import LUMA

LANES = 16
"""Floats of a cell: a column of the 3x4 transform after the other, each padded to four."""
_BAND = 64
"""Least rows for a thread of its own."""


def apply_grid_to_pixels(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """See `ops.slicing.apply_grid_to_pixels`; one photo, `(12, D, GH, GW)` and `(H, W, 3)` of any strides."""
    levels = np.float32(1) if pixels.is_floating_point() else np.int32(torch.iinfo(pixels.dtype).max)
    source = pixels.numpy()
    result: npt.NDArray[Any] = np.empty_like(source)
    cells, size = _cells(grid, float(levels)), grid.shape[1:]
    threads = max(1, min(torch.get_num_threads(), len(source) // _BAND))
    bounds = [len(source) * i // threads for i in range(threads + 1)]

    def run(band: tuple[int, int]) -> None:
        _slice_rows(cells, *size, source, result, *band, levels)

    # Threads of our own: numba's may not be entered by several threads at once, and callers may have several.
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, pairwise(bounds)))
    return torch.from_numpy(result)


def _cells(grid: torch.Tensor, levels: float) -> npt.NDArray[np.float32]:
    """`(12, D, GH, GW)` to `(GH, GW, D, 16)`, each of the three at least 2, offsets in levels."""
    columns = grid.detach().to("cpu", torch.float32).reshape(3, 4, *grid.shape[1:]).permute(3, 4, 2, 1, 0)
    columns = torch.cat([columns[..., :3, :], columns[..., 3:, :] * levels], -2)
    for dim in range(3):
        if columns.shape[dim] == 1:  # a neighbour to interpolate with; its weight is 0
            columns = columns.repeat_interleave(2, dim)
    cells = torch.nn.functional.pad(columns, (0, 1)).flatten(3).contiguous()
    values: npt.NDArray[np.float32] = cells.numpy()
    return values


@intrinsic
def _transform(  # type: ignore[no-untyped-def]
    typing_context, table, here, there, slope, red, green, blue, along, deep, white
):
    """Interpolate between four cells and apply the result to a colour, in vectors of 16 and then 4 floats.

    Args:
        typing_context: numba's.
        table: float32: cells of a row of the grid and, `slope` floats further, what to add for the next cell in x.
        here: where the cell starts.
        there: where the cell of the next depth starts.
        slope: see `table`.
        red: of the colour to change.
        green: the same.
        blue: the same.
        along: weight of the next cell in x.
        deep: weight of the next cell in depth.
        white: the largest value; an integer asks for integers.

    Returns:
        The new colour, three values in [0, white].
    """
    rounded = isinstance(white, types.Integer)
    kind = types.int32 if rounded else types.float32
    signature = types.UniTuple(kind, 3)(table, types.intp, types.intp, types.intp, *[types.float32] * 5, kind)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, here, there, slope, red, green, blue, along, deep, white = arguments
        data = context.make_array(signature.args[0])(context, builder, table).data
        scalar, index = ir.FloatType(), ir.IntType(32)
        fast = ("fast",)

        def vector(length: int) -> Any:
            return ir.VectorType(scalar, length)

        def pick(source: Any, lanes: Iterable[int]) -> Any:
            chosen = list(lanes)
            mask = ir.Constant(ir.VectorType(index, len(chosen)), chosen)
            return builder.shuffle_vector(source, ir.Constant(source.type, ir.Undefined), mask)

        def pack(values: Iterable[Any]) -> Any:
            packed = ir.Constant(vector(4), ir.Undefined)
            for lane, value in enumerate(values):
                packed = builder.insert_element(packed, value, ir.Constant(index, lane))
            return packed

        def cell(start: Any) -> Any:
            address = builder.bitcast(builder.gep(data, [start]), vector(LANES).as_pointer())
            return builder.load(address, align=4)

        def muladd(a: Any, b: Any, c: Any) -> Any:
            return builder.fadd(builder.fmul(a, b, flags=fast), c, flags=fast)

        along, deep = (pick(pack([weight]), [0] * LANES) for weight in (along, deep))
        low = muladd(along, cell(builder.add(here, slope)), cell(here))
        high = muladd(along, cell(builder.add(there, slope)), cell(there))
        columns = muladd(deep, builder.fsub(high, low, flags=fast), low)
        # Columns times (red, green, blue, 1), each four times; then the four columns are summed.
        colour = pick(pack([red, green, blue, ir.Constant(scalar, 1.0)]), [lane // 4 for lane in range(LANES)])
        products = builder.fmul(columns, colour, flags=fast)
        halves = builder.fadd(pick(products, range(8)), pick(products, range(8, 16)), flags=fast)
        result = builder.fadd(pick(halves, range(4)), pick(halves, range(4, 8)), flags=fast)
        if rounded:
            result = builder.fadd(result, ir.Constant(vector(4), [0.5] * 4), flags=fast)
            white = builder.sitofp(white, scalar)
        for sign, limit in (("<", ir.Constant(vector(4), [0.0] * 4)), (">", pick(pack([white]), [0] * 4))):
            beyond = builder.fcmp_ordered(sign, result, limit, flags=fast)
            result = builder.select(beyond, limit, result)
        if rounded:
            result = builder.fptosi(result, ir.VectorType(index, 4))
        channels = [builder.extract_element(result, ir.Constant(index, lane)) for lane in range(3)]
        return context.make_tuple(builder, signature.return_type, channels)

    return signature, generate


@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def _slice_rows(cells, depth, height, width, source, result, top, bottom, levels):  # type: ignore[no-untyped-def]
    """Rows `top` to `bottom` of a photo; `levels` is the value of white, an integer for integers."""
    rows, columns = source.shape[0], source.shape[1]
    deep = cells.shape[2]
    size = cells.shape[1] * deep * LANES
    flat = cells.reshape(cells.shape[0], size)
    table = np.zeros(2 * size, np.float32)
    step, half, zero = np.float32(width / columns), np.float32(0.5), np.float32(0)
    red_weight, green_weight, blue_weight = (
        np.float32(LUMA[0] * depth / levels),
        np.float32(LUMA[1] * depth / levels),
        np.float32(LUMA[2] * depth / levels),
    )
    for row in range(bottom - top):
        y = np.uintp(top + row)  # unsigned: numba would ask whether a signed one counts from the end
        position = min(max((top + row + 0.5) * height / rows - 0.5, 0.0), height - 1.0)
        above = min(int(position), cells.shape[0] - 2)
        weight = np.float32(position - above)
        for i in range(size):
            table[i] = flat[above, i] + weight * (flat[above + 1, i] - flat[above, i])
        for i in range(size - deep * LANES):
            table[size + i] = table[i + deep * LANES] - table[i]
        # From the centre of one cell to that of the next; half a cell before the first, and behind the last.
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
                # Clamped again as an integer: NaN is no position, but must not lead out of the table.
                level = max(min(np.int32(guide), np.int32(deep - 2)), np.int32(0))
                here = (left * deep + np.intp(level)) * LANES
                along, into = across - np.float32(left), guide - np.float32(level)
                colour = _transform(table, here, here + LANES, size, red, green, blue, along, into, levels)
                for channel in range(3):
                    result[y, x, channel] = colour[channel]
