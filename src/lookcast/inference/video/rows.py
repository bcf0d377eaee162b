"""Kernels that convert one row of the planes of a frame to colours and back.

Chroma planes may be smaller than luma. Reading interpolates chroma linearly: horizontally from samples at the left luma
sample of each block, vertically from samples in the middle of the block, as H.264 and its successors place them by
default. Writing adds to each chroma sample the weighted mean of the changes around it, with the weights of the
interpolation. So pixels that did not change give back every chroma sample exactly.

After a change of this file, run `touch` on the files that use its kernels (`compile_kernel`).
"""

import numpy as np

from lookcast.ops.bilateral.cpu import compile_kernel


@compile_kernel
def _enlarge_row(plane, y, across, down, row, result):  # type: ignore[no-untyped-def]
    """Interpolate a chroma plane at all columns of luma row `y`. `row` is memory for one row of chroma."""
    last_row, last = plane.shape[0] - 1, plane.shape[1] - 1
    position = np.float32(y) if down == 1 else (np.float32(y) + np.float32(0.5)) / np.float32(down) - np.float32(0.5)
    position = min(max(position, np.float32(0)), np.float32(last_row))
    above = np.int64(position)
    below = min(above + 1, last_row)
    weight = position - np.float32(above)
    upper, lower = plane[above], plane[below]
    for x in range(last + 1):
        row[x] = np.float32(upper[x]) + weight * (np.float32(lower[x]) - np.float32(upper[x]))
    width = result.shape[0]
    if across == 1:
        for x in range(width):
            result[x] = row[x]
    elif across == 2:
        for x in range(min(last, width // 2)):
            result[2 * x] = row[x]
            result[2 * x + 1] = np.float32(0.5) * (row[x] + row[x + 1])
        for x in range(2 * min(last, width // 2), width):
            result[x] = row[last]
    else:
        for x in range(width):
            left = min(x // across, last)
            right = min(left + 1, last)
            result[x] = row[left] + np.float32((x - left * across) / across) * (row[right] - row[left])


@compile_kernel
def _mean_around(values, x, across):  # type: ignore[no-untyped-def]
    """Average a row around chroma sample `x`, with the weights with which `_enlarge_row` interpolates."""
    total, weights = np.float32(0), np.float32(0)
    centre = x * across
    for offset in range(max(1 - across, -centre), min(across, values.shape[0] - centre)):
        weight = np.float32(across - abs(offset))
        total += weight * values[centre + offset]
        weights += weight
    return total / weights


@compile_kernel
def _shrink_row(values, across, result):  # type: ignore[no-untyped-def]
    """Average a row around each chroma sample; see `_mean_around`."""
    if across == 1:
        result[:] = values
        return
    inner = 1
    if across == 2:  # samples 1 to inner - 1 have all neighbours; a loop over them alone becomes vector code
        quarter, half = np.float32(0.25), np.float32(0.5)
        inner = max(1, (values.shape[0] - 1) // 2)
        for x in range(1, inner):
            result[x] = quarter * (values[2 * x - 1] + values[2 * x + 1]) + half * values[2 * x]
    result[0] = _mean_around(values, 0, across)
    for x in range(inner, result.shape[0]):
        result[x] = _mean_around(values, x, across)


@compile_kernel
def read_row(planes_row, first, second, y, across, down, map_, memory, codes, colours):  # type: ignore[no-untyped-def]
    """Convert luma row `y` to colours.

    Args:
        planes_row: the luma of the row.
        first: the first chroma plane.
        second: the second chroma plane.
        y: number of the row.
        across: luma columns per chroma sample.
        down: luma rows per chroma sample.
        map_: from codes to R'G'B'.
        memory: memory for one row of chroma.
        codes: the three codes of each pixel, `(3, W)`, to write.
        colours: R'G'B' in [0, 1], `(3, W)`, to write.
    """
    luma, blue, red = codes[0], codes[1], codes[2]
    _enlarge_row(first, y, across, down, memory, blue)
    _enlarge_row(second, y, across, down, memory, red)
    zero, one = np.float32(0), np.float32(1)
    width = luma.shape[0]
    for x in range(width):
        luma[x] = np.float32(planes_row[x])
    for channel in range(3):
        a, b, c, d = map_[channel, 0], map_[channel, 1], map_[channel, 2], map_[channel, 3]
        out = colours[channel]
        for x in range(width):
            out[x] = min(max(a * luma[x] + b * blue[x] + c * red[x] + d, zero), one)


@compile_kernel
def write_row(colours, codes, map_, maximum, out, changes):  # type: ignore[no-untyped-def]
    """Write the luma of colours, and add the changes of their chroma.

    Args:
        colours: R'G'B' in [0, 1], `(3, W)`.
        codes: the codes before, `(3, W)`.
        map_: from R'G'B' to codes.
        maximum: largest code.
        out: row of luma to write.
        changes: sums of the changes of chroma, `(2, W)`.
    """
    red, green, blue = colours[0], colours[1], colours[2]
    width = out.shape[0]
    half, zero = np.float32(0.5), np.float32(0)
    a, b, c, d = map_[0, 0], map_[0, 1], map_[0, 2], map_[0, 3] + half
    for x in range(width):
        out[x] = np.int32(min(max(a * red[x] + b * green[x] + c * blue[x] + d, zero), maximum))
    for plane in range(2):
        a, b, c, d = map_[plane + 1, 0], map_[plane + 1, 1], map_[plane + 1, 2], map_[plane + 1, 3]
        before, change = codes[plane + 1], changes[plane]
        for x in range(width):
            change[x] += a * red[x] + b * green[x] + c * blue[x] + d - before[x]


@compile_kernel
def write_chroma(changes, before, across, scale, maximum, memory, out):  # type: ignore[no-untyped-def]
    """Write a row of chroma from the sums of the changes around each sample.

    Args:
        changes: the sums over the rows of the samples, `(W,)`.
        before: the row before.
        across: luma columns per chroma sample.
        scale: one over the number of rows.
        maximum: largest code.
        memory: memory for one row of chroma.
        out: the row to write.
    """
    _shrink_row(changes, across, memory)
    half, zero = np.float32(0.5), np.float32(0)
    for x in range(out.shape[0]):
        out[x] = np.int32(min(max(np.float32(before[x]) + scale * memory[x] + half, zero), maximum))
