"""Triton kernels of `ops.bilateral.cuda`: application of a grid to an image, and the gradient of the grid.

Between four neighbouring cell centres, the grid is linear in x and in y. A program (an instance of a kernel) handles a
rectangle of pixels between four neighbouring centres, so all pixels of the rectangle use the same cells. For each row
of pixels, the program computes

    T = cells above and below the row, interpolated along y   (2 * D, 16)
    w = tent(D guide - .5 - d) * weight along x               (columns, 2 * D)
    coefficients = w T                                        (columns, 16): a product for the tensor cores

Here, `tent(t) = max(0, 1 - |t|)`, d is the index of a cell in depth, and `columns` is the number of pixels in the row.
T has a row for each of the D left cells, then a row for each of the D right cells. The 12 coefficients of a cell are
padded to 16.

No address depends on the value of a pixel, so the kernels need no gather and no scatter. The gradient of T is a matrix
product too: `w^T` times P. The matrix P has a row for each pixel. The row holds the gradient of each output channel,
multiplied by each of r, g, b and 1. A program sums the gradient of T in registers, and adds the sum to the gradient of
the grid only once, at the end.

Sizes are in pixels. Positions are in units of cells. `levels` is D, rounded up to a power of two.
"""

import triton
import triton.language as tl

from lookcast.ops.color import LUMA

_RED, _GREEN, _BLUE = (tl.constexpr(weight) for weight in LUMA)


@triton.jit
def _first_pixel(interval, cells, size):
    """Return the first pixel at or after the centre of cell `interval - 1`.

    The centre lies at the position `(interval - .5) * size / cells - .5` in pixels, which need not be whole.
    """
    first = ((2 * interval - 1) * size + cells - 1) // (2 * cells)
    return tl.minimum(tl.maximum(first, 0), size)


@triton.jit
def _rectangle(axis: tl.constexpr, cells, size, length):
    """Return the interval, the first pixel and the end pixel (exclusive) of this program along one axis."""
    blocks = tl.num_programs(axis) // (cells + 1)
    interval = tl.program_id(axis) // blocks
    first = _first_pixel(interval, cells, size) + tl.program_id(axis) % blocks * length
    return interval, first, tl.minimum(_first_pixel(interval + 1, cells, size), first + length)


@triton.jit
def _cells(interval_x, interval_y, depth, cells_y, cells_x, levels: tl.constexpr):
    """Return the offsets of the cells above and of the cells below, and a mask that excludes padding.

    All three are `(2 * levels, 16)`. The rows are the left cells, then the right cells.

    Column n holds the coefficient of input n // 8 * 2 + n % 2 for output n // 2 % 4. The inputs are red, green, blue
    and 1. In the layout of the tensor cores, each thread then holds the coefficients of all four inputs for one output,
    so the sum over the inputs stays inside the thread.
    """
    k = tl.arange(0, 2 * levels)[:, None]
    n = tl.arange(0, 16)[None, :]
    output = n // 2 % 4
    plane = (output * 4 + n // 8 * 2 + n % 2) * depth + k % levels
    x = tl.where(k < levels, tl.maximum(interval_x - 1, 0), tl.minimum(interval_x, cells_x - 1))
    above = (plane * cells_y + tl.maximum(interval_y - 1, 0)) * cells_x + x
    below = (plane * cells_y + tl.minimum(interval_y, cells_y - 1)) * cells_x + x
    return above, below, (output < 3) & (k % levels < depth)


@triton.jit
def _weights(red, green, blue, right, depth, levels: tl.constexpr, columns: tl.constexpr):
    """Return, for each pixel, a row with the weights of the left and then the right cells, `(columns, 2 * levels)`."""
    # Unlike indexing with None, `reshape` keeps all weights of a pixel in one thread.
    k = tl.arange(0, 2 * levels)[None, :]
    guide = red * _RED + green * _GREEN + blue * _BLUE
    position = tl.minimum(tl.maximum(guide * depth - 0.5, 0), depth - 1)
    tent = tl.clamp(1 - tl.abs(tl.reshape(position, (columns, 1)) - (k % levels)), 0.0, 1.0)
    right = tl.reshape(right, (columns, 1))
    return tent * tl.where(k < levels, 1 - right, right)


@triton.jit
def _load(image, offsets, channel, mask):
    """Load the red, green and blue values of a row of pixels."""
    red = tl.load(image + offsets, mask=mask, other=0)
    green = tl.load(image + channel + offsets, mask=mask, other=0)
    blue = tl.load(image + 2 * channel + offsets, mask=mask, other=0)
    return red, green, blue


@triton.jit(do_not_specialize=["height", "width"])
def apply_kernel(
    image,
    grid,
    output,
    height,
    width,
    depth,
    cells_y,
    cells_x,
    white: tl.constexpr,
    planar: tl.constexpr,
    levels: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Write the transformed `image` to `output`. Both are planar, or pixels `(H, W, 3)` that are clamped to white.

    White is 1 for floats, else the largest integer.
    """
    interval_x, first_x, end_x = _rectangle(0, cells_x, width, columns)
    interval_y, first_y, end_y = _rectangle(1, cells_y, height, rows)
    if first_x >= end_x or first_y >= end_y:
        return
    batch = tl.program_id(2).to(tl.int64)
    above, below, exists = _cells(interval_x, interval_y, depth, cells_y, cells_x, levels)
    grid += batch * 12 * depth * cells_y * cells_x
    above = tl.load(grid + above, mask=exists, other=0).to(tl.float32)
    below = tl.load(grid + below, mask=exists, other=0).to(tl.float32)

    pixel = 1 if planar else 3
    channel = height.to(tl.int64) * width if planar else 1
    start = (batch * height * 3 if planar else 0) * width + (first_y.to(tl.int64) * width + first_x) * pixel
    image += start
    output += start
    x = tl.arange(0, columns)
    inside = first_x + x < end_x
    right = (first_x + x + 0.5) * (cells_x / width) + (0.5 - interval_x)
    offsets = x.to(tl.int64) * pixel  # 64-bit offsets, so that the compiler shares terms of the additions
    out_channel = tl.arange(0, 4)[None, :]
    out_offsets = offsets[:, None] + out_channel * channel
    out_inside = inside[:, None] & (out_channel < 3)

    # Load the next row during the computation of the current row.
    next_red, next_green, next_blue = _load(image, offsets, channel, inside)
    for y in range(first_y, end_y):
        red = next_red.to(tl.float32) * (1 / white)
        green = next_green.to(tl.float32) * (1 / white)
        blue = next_blue.to(tl.float32) * (1 / white)
        image += width * pixel
        some = x < tl.where(y + 1 < end_y, end_x - first_x, 0)
        next_red, next_green, next_blue = _load(image, offsets, channel, some)

        down = (y + 0.5) * (cells_y / height) + (0.5 - interval_y)
        weights = _weights(red, green, blue, right, depth, levels, columns)
        table = above + down * (below - above)
        if white == 255:
            # Half precision takes half the instructions of tf32. Coefficients may be large, so the table is split into
            # the sum of two half-precision tables. The weights are rounded to half precision. The error is at most an
            # eighth of a level if neighbouring cells differ by white minus black.
            weights = weights.to(tl.float16)
            coarse = table.to(tl.float16)
            product = tl.dot(weights, coarse)
            product = tl.dot(weights, (table - coarse.to(tl.float32)).to(tl.float16), product)
        else:
            product = tl.dot(weights, table, input_precision="tf32x3")
        by_output = tl.permute(tl.reshape(product, (columns, 2, 4, 2)), (0, 2, 1, 3))
        red_or_blue, green_or_offset = tl.split(by_output)
        of_red, of_blue = tl.split(red_or_blue)
        of_green, result = tl.split(green_or_offset)
        result += of_red * red[:, None] + of_green * green[:, None] + of_blue * blue[:, None]
        if not planar:
            result = tl.clamp(result, 0.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
        if white != 1:
            result = result * white + 0.5
        tl.store(output + out_offsets, result.to(output.dtype.element_ty), mask=out_inside)
        output += width * pixel


@triton.jit(do_not_specialize=["height", "width"])
def gradient_kernel(
    image,
    grid,
    gradient,
    height,
    width,
    depth,
    cells_y,
    cells_x,
    apart: tl.constexpr,
    levels: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Add the gradient for the grid to `grid`. `gradient` is the gradient for the output. All images are planar.

    If `apart`, `grid` has memory of its own for each program, `(programs, 2, 2 * levels, 16)`: the sums for the cells
    above and for the cells below. Atomic additions have no fixed order, so only the sums apart are deterministic.
    """
    interval_x, first_x, end_x = _rectangle(0, cells_x, width, columns)
    interval_y, first_y, end_y = _rectangle(1, cells_y, height, rows)
    if first_x >= end_x or first_y >= end_y:
        return
    batch = tl.program_id(2).to(tl.int64)
    x = tl.arange(0, columns)
    inside = first_x + x < end_x
    right = (first_x + x + 0.5) * (cells_x / width) + (0.5 - interval_x)
    channel = height.to(tl.int64) * width
    offsets = batch * 3 * channel + first_y.to(tl.int64) * width + first_x + x
    of_above = tl.zeros((2 * levels, 16), tl.float32)
    of_below = tl.zeros((2 * levels, 16), tl.float32)
    for y in range(first_y, end_y):
        red, green, blue = _load(image, offsets, channel, inside)
        red, green, blue = red.to(tl.float32), green.to(tl.float32), blue.to(tl.float32)
        of_red, of_green, of_blue = _load(gradient, offsets, channel, inside)
        offsets += width
        # The joins give the order red, green, blue, 1 of the inputs that `_cells` describes.
        inputs = tl.join(tl.join(red, blue), tl.join(green, tl.full((columns,), 1, tl.float32)))
        outputs = tl.join(tl.join(of_red, of_blue), tl.join(of_green, tl.zeros((columns,), tl.float32)))
        outputs = tl.reshape(outputs, (columns, 1, 4, 1))
        products = tl.reshape(outputs * tl.reshape(inputs, (columns, 2, 1, 2)), (columns, 16))
        weights = _weights(red, green, blue, right, depth, levels, columns)
        of_row = tl.dot(tl.trans(weights), products, input_precision="tf32x3")
        down = (y + 0.5) * (cells_y / height) + (0.5 - interval_y)
        of_above += (1 - down) * of_row
        of_below += down * of_row
    if apart:
        program = (batch * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)
        grid += program * 64 * levels + tl.arange(0, 2 * levels)[:, None] * 16 + tl.arange(0, 16)[None, :]
        tl.store(grid, of_above)
        tl.store(grid + 32 * levels, of_below)
    else:
        above, below, exists = _cells(interval_x, interval_y, depth, cells_y, cells_x, levels)
        grid += batch * 12 * depth * cells_y * cells_x
        tl.atomic_add(grid + above, of_above, mask=exists, sem="relaxed")
        tl.atomic_add(grid + below, of_below, mask=exists, sem="relaxed")
