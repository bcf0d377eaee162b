"""Triton kernel of `ops.bilateral.cuda` for uint8 pixels: 12 bytes, which are four pixels, per four threads.

The kernel computes the same as `ops.bilateral.triton`, with fewer instructions. A group is 32 pixels of a row, for the
32 threads of a warp. Four neighbouring threads (a quad) hold the same four pixels, in the layout that the tensor cores
expect, so a thread exchanges no data with other threads until the end:

    distance = bytes G                 (pixels, D): D guide - .5 - d, for each cell d in depth
    tent = max(0, 1 - |distance|)      (pixels, D): in this layout, the result of a product is the input of the next
    left, slope = (tent r, tent g, tent b, tent) T     (pixels, 3 outputs, 2)
    output = left + weight along x * slope

T has a row for each input and each cell in depth. Its columns are the coefficients of the left cells, and the
coefficients of the right cells minus those of the left cells, for each output. T is interpolated along y, once per row.

Groups start at a multiple of four pixels of the image, so words of four bytes are aligned. Thread t of a quad writes
word t of the three. At both ends of a row of a rectangle, a quad may have pixels of other programs. There, single
bytes are written.
"""

import triton
import triton.language as tl

from lookcast.ops.bilateral.triton import _rectangle
from lookcast.ops.color import LUMA

_RED, _GREEN, _BLUE = (tl.constexpr(weight) for weight in LUMA)

_PAIR = tl.constexpr("cvt.rn.f16x2.f32 $0, $2, $1;")  # two floats as halves of a word
_COPY = tl.constexpr("shfl.sync.idx.b32 $0, $1, $2, 0x1f, 0xffffffff;")


def _group_code() -> str:
    """Return the PTX code for a group: $0 is word t of the output, $1 to $3 are the words of the quad."""
    code = [
        ".reg .b32 p<6>, d<4>, w<4>, h<12>, v<2>, u, x, y;",
        ".reg .b16 lo, hi;",
        ".reg .f32 l<4>, s<4>, o<4>;",
        "mov.b32 u, 0x64006400;",  # two halves of 1024
    ]
    for i in range(6):  # bytes to pairs of halves: 0x6400 + byte is the half 1024 + byte
        code += [f"prmt.b32 p{i}, ${1 + i // 2}, 0x64646464, {'0x4342' if i % 2 else '0x4140'};"]
        code += [f"sub.rn.f16x2 p{i}, p{i}, u;"]
    product = "mma.sync.aligned.m16n8k16.row.col"
    # p0 to p5 are r0 g0, b0 r1, g1 b1, r2 g2, b2 r3, g3 b3. A product takes two pixels: 0 and 2, then 1 and 3.
    code += [product + ".f16.f16.f16.f16 {d0, d2}, {p0, p3, p1, p4}, {$4, $5}, {$8, $22};"]
    code += [product + ".f16.f16.f16.f16 {d1, d3}, {p1, p4, p2, p5}, {$6, $7}, {$8, $22};"]
    code += ["mov.b32 x, 0x3c003c00;"]  # two halves of 1
    for pixel in range(4):
        code += [f"max.f16x2 d{pixel}, d{pixel}, $9;", f"abs.f16x2 d{pixel}, d{pixel};"]
        code += [f"sub.rn.sat.f16x2 w{pixel}, x, d{pixel};"]
    for value in range(12):
        half = "hi" if value % 2 else "lo"
        code += [f"mov.b32 {{lo, hi}}, p{value // 2};", f"mov.b32 h{value}, {{{half}, {half}}};"]
        code += [f"mul.rn.f16x2 h{value}, h{value}, w{value // 3};"]
    for first in range(2):
        second = first + 2
        sums = f"{{l{first}, s{first}, l{second}, s{second}}}"
        red, green, blue = ((3 * first + i, 3 * second + i) for i in range(3))
        inputs = f"{{h{red[0]}, h{red[1]}, h{green[0]}, h{green[1]}}}"
        code += [f"{product}.f32.f16.f16.f32 {sums}, {inputs}, {{$10, $11}}, {{{', '.join(['0f00000000'] * 4)}}};"]
        inputs = f"{{h{blue[0]}, h{blue[1]}, w{first}, w{second}}}"
        code += [f"{product}.f32.f16.f16.f32 {sums}, {inputs}, {{$12, $13}}, {sums};"]
    code += [f"fma.rn.sat.f32 o{pixel}, ${14 + pixel}, s{pixel}, l{pixel};" for pixel in range(4)]
    code += ["mov.b32 x, 0x5bf85bf8;"]  # two halves of 255; adding 1024 rounds to whole numbers
    for i in range(2):
        code += [f"cvt.rn.f16x2.f32 v{i}, o{2 * i + 1}, o{2 * i};", f"fma.rn.f16x2 v{i}, v{i}, x, u;"]
    code += ["prmt.b32 u, v0, v1, 0x6420;"]
    code += ["shfl.sync.idx.b32 x, u, $18, 0x1f, 0xffffffff;", "shfl.sync.idx.b32 y, u, $19, 0x1f, 0xffffffff;"]
    code += ["prmt.b32 u, u, x, $20;", "prmt.b32 $0, u, y, $21;"]
    return "{\n" + "\n".join(code) + "\n}"


_GROUP = tl.constexpr(_group_code())
_OPERANDS = tl.constexpr("=r" + ",r" * 13 + ",f" * 4 + ",r" * 5)


@triton.jit
def _pair(low, high):
    return tl.inline_asm_elementwise(_PAIR, "=r,f,f", [low, high], dtype=tl.int32, is_pure=True, pack=1)


@triton.jit
def _rows(grid, channel: tl.constexpr, depth, cells_y, cells_x, left, right, above, below):
    """Return the two rows of T that this thread supplies for an input: in the upper cells, then in the lower cells."""
    lane = tl.arange(0, 32)
    k = lane % 4 * 2
    plane = (lane // 8 * 4 + channel) * depth + k
    grid += plane * cells_y * cells_x
    next_grid = grid + cells_y * cells_x
    is_slope = lane // 4 % 2 == 1
    first = tl.where(is_slope, right, left)
    exists, next_exists = (lane < 24) & (k < depth), (lane < 24) & (k + 1 < depth)
    scale = 1.0 if channel == 3 else 1 / 255
    return (
        _element(grid + above * cells_x, first, left, exists, is_slope, scale),
        _element(next_grid + above * cells_x, first, left, next_exists, is_slope, scale),
        _element(grid + below * cells_x, first, left, exists, is_slope, scale),
        _element(next_grid + below * cells_x, first, left, next_exists, is_slope, scale),
    )


@triton.jit
def _element(row, first, left, exists, is_slope, scale):
    value = tl.load(row + first, mask=exists, other=0).to(tl.float32)
    value -= tl.load(row + left, mask=exists & is_slope, other=0).to(tl.float32)
    return tl.clamp(value * scale, -65504.0, 65504.0)  # an infinite half would give NaN


@triton.jit
def _at(rows, down):
    """Interpolate two rows of T along y, and return them as a pair of halves."""
    above, next_above, below, next_below = rows
    return _pair(above + down * (below - above), next_above + down * (next_below - next_above))


@triton.jit
def _guide(depth):
    """Return G for the pixels 0 and 2, G for the pixels 1 and 3 (two words each), the addend, the lower bound."""
    lane = tl.arange(0, 32)
    k = lane // 4
    last = (k == depth - 1) & (depth > 1)
    scale = tl.where(depth > 1, depth * (1 / 255), 0.0) * tl.where(last, -1.0, 1.0)
    # The product scales a distance by -1 for the last cell, so that the bound below keeps the weight beyond it at 1.
    part = lane % 4  # thread 0: weights; thread 1: what the rounding to halves left over
    red, green, blue = _part(scale * _RED, part), _part(scale * _GREEN, part), _part(scale * _BLUE, part)
    k, zero = lane % 4 * 2, tl.zeros((32,), tl.float32)
    addend = _pair(_addend(k, depth), _addend(k + 1, depth))
    bound = _pair(_bound(k, depth), _bound(k + 1, depth))
    return _pair(red, green), _pair(blue, zero), _pair(zero, red), _pair(green, blue), addend, bound


@triton.jit
def _part(weight, part):
    rounded = weight.to(tl.float16).to(tl.float32)
    return tl.where(part == 0, rounded, tl.where(part == 1, weight - rounded, 0.0))


@triton.jit
def _addend(k, depth):
    return tl.where((k == depth - 1) & (depth > 1), k + 0.5, -0.5 - k)


@triton.jit
def _bound(k, depth):
    return tl.where((k == 0) | (k == depth - 1), 0.0, -2.0)


@triton.jit
def _load_words(image, row, shift, end, groups: tl.constexpr):
    """Load the three words of the quad of each group that have pixels before `end`. `row` is its first pixel."""
    quad = tl.arange(0, 32) // 4
    from_quad = image.to(tl.pointer_type(tl.int32)) + (row - shift) // 4 * 3 + (quad * 3).to(tl.int64)
    words = ()
    for group in tl.static_range(groups):
        for i in tl.static_range(3):
            mask = quad * 12 + 4 * i < (end - 32 * group) * 3
            words += (tl.load(from_quad + (24 * group + i), mask=mask),)  # type: ignore[assignment]
    return words


@triton.jit
def _store_bytes(to_word, word, first, thread, start, end):
    """Write the bytes of the pixels from `start` to `end` (exclusive). `first` is the first pixel of the quad."""
    to_byte = to_word.to(tl.pointer_type(tl.uint8))
    for i in tl.static_range(4):
        pixel = first + (thread * 4 + i) // 3
        tl.store(to_byte + i, (word >> (8 * i)).to(tl.uint8), mask=(pixel >= start) & (pixel < end))


@triton.jit(do_not_specialize=["height", "width", "length", "rows"])
def apply_bytes_kernel(
    image,
    grid,
    output,
    height,
    width,
    depth,
    cells_y,
    cells_x,
    length,
    rows,
    groups: tl.constexpr,
    steady: tl.constexpr,
):
    """Write the transformed `image` to `output`: interleaved bytes, from aligned addresses, with at most 8 cells deep.

    A program handles `rows` rows of at most `length` pixels, at most `32 * groups - 3`. `steady` states that the width
    is a multiple of four.
    """
    interval_x, first_x, end_x = _rectangle(0, cells_x, width, length)
    interval_y, first_y, end_y = _rectangle(1, cells_y, height, rows)
    if first_x >= end_x or first_y >= end_y:
        return
    left, right = tl.maximum(interval_x - 1, 0), tl.minimum(interval_x, cells_x - 1)
    above, below = tl.maximum(interval_y - 1, 0), tl.minimum(interval_y, cells_y - 1)
    red = _rows(grid, 0, depth, cells_y, cells_x, left, right, above, below)
    green = _rows(grid, 1, depth, cells_y, cells_x, left, right, above, below)
    blue = _rows(grid, 2, depth, cells_y, cells_x, left, right, above, below)
    one = _rows(grid, 3, depth, cells_y, cells_x, left, right, above, below)
    guide = _guide(depth)

    lane = tl.arange(0, 32)
    thread = lane % 4
    source = lane - thread + (thread + 1) % 3
    next_source = lane - thread + (thread + 2) % 3
    selector = tl.where(thread == 0, 0x1040, tl.where(thread == 1, 0x2051, 0x3072))
    next_selector = tl.where(thread == 0, 0x3410, tl.where(thread == 1, 0x3610, 0x3710))
    step_x = cells_x / width
    # A copy that the compiler takes for another value: it keeps a pair of registers for them, and moves nothing.
    same_addend = tl.inline_asm_elementwise(_COPY, "=r,r,r", [guide[4], lane], dtype=tl.int32, is_pure=True, pack=1)
    order = (source, next_source, selector, next_selector, same_addend)
    pixels, row = end_x - first_x, first_y.to(tl.int64) * width + first_x
    first = lane // 4 * 4  # first pixel of the quad
    of_word = tl.where(thread < 3, first, 1 << 20)  # thread 3 writes nothing
    thread_offset = (lane // 4 * 3 + thread).to(tl.int64)
    shift = (row & 3).to(tl.int32)  # pixels of the first quad before the rectangle
    # Load the next row during the computation of the current row.
    next_words = _load_words(image, row, shift, pixels + shift, groups)
    for y in range(first_y, end_y):
        end = pixels + shift
        to_word = output.to(tl.pointer_type(tl.int32)) + (row - shift) // 4 * 3 + thread_offset
        next_row = row + width
        next_shift = shift if steady else (next_row & 3).to(tl.int32)
        words = next_words
        next_end = tl.where(y + 1 < end_y, pixels + next_shift, 0)
        next_words = _load_words(image, next_row, next_shift, next_end, groups)
        down = (y + 0.5) * (cells_y / height) + (0.5 - interval_y)
        table = (_at(red, down), _at(green, down), _at(blue, down), _at(one, down))
        weight_x = (first_x - shift + first + 0.5) * step_x + (0.5 - interval_x)
        for group in tl.static_range(groups):
            first_weight = weight_x + 32 * group * step_x
            weights = (first_weight, first_weight + step_x, first_weight + 2 * step_x, first_weight + 3 * step_x)
            three_words = (words[3 * group], words[3 * group + 1], words[3 * group + 2])
            result = tl.inline_asm_elementwise(
                _GROUP, _OPERANDS, three_words + guide + table + weights + order, dtype=tl.int32, is_pure=True, pack=1
            )
            whole = of_word + 4 <= end - 32 * group
            if group == 0:
                whole = whole & (of_word >= shift)
            tl.store(to_word + 24 * group, result, mask=whole)
            if group == 0:
                start_word, end_word = result, result
            else:
                end_word = tl.where(end >= 32 * group, result, end_word)
        if shift != 0 or end < 4:
            _store_bytes(to_word, start_word, of_word, thread, shift, tl.minimum(end, 4))
        if end > 4 and end % 4 != 0:
            last = end // 32
            _store_bytes(to_word + 24 * last, end_word, of_word + 32 * last, thread, end // 4 * 4, end)
        row, shift = next_row, next_shift
