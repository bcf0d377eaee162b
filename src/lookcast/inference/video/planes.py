"""Conversion between the planes of a video frame and R'G'B' pixels of 16 bits, on the CPU.

Chroma planes may be smaller than luma. Reading interpolates chroma linearly: horizontally from samples at the left luma
sample of each block, vertically from samples in the middle of the block, as H.264 and its successors place them by
default. Writing adds to each chroma sample the weighted mean of the changes around it, with the weights of the
interpolation. So pixels that did not change give back every chroma sample exactly.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lookcast.inference.video.color import Codes
from lookcast.ops.bilateral.cpu import compile_kernel
from lookcast.ops.resize import resize_image

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
    pixels = np.empty((height, 3 * width), np.uint16)
    coefficients, _ = coefficients_of(codes)
    factors = chroma_factors(planes)
    in_bands(lambda top, bottom: read_rows(*planes, *factors, coefficients, pixels, top, bottom, 0), height, 1)
    return pixels.reshape(height, width, 3)


def from_pixels(pixels: npt.NDArray[np.uint16], planes: list[Plane], codes: Codes) -> None:
    """Write pixels over the planes that `to_pixels` has read.

    Args:
        pixels: R'G'B' `(H, W, 3)`, uint16.
        planes: see `to_pixels`; the planes are overwritten.
        codes: see `to_pixels`.
    """
    height, width = planes[0].shape
    _, coefficients = coefficients_of(codes)
    factors = chroma_factors(planes)
    before = [plane.copy() for plane in planes[1:]]
    flat = np.ascontiguousarray(pixels).reshape(height, 3 * width)

    def run(top: int, bottom: int) -> None:
        write_rows(flat, *planes, *before, *factors, coefficients, np.float32(codes.maximum), top, bottom, 0)

    in_bands(run, planes[1].shape[0], factors[1])


def thumbnail_of_planes(planes: list[Plane], codes: Codes, side: int) -> torch.Tensor:
    """Return a square thumbnail `(1, 3, side, side)` of a frame, float32 in [0, 1].

    The planes are resized before they are converted. This takes a fraction of the time, and only clamping differs.
    """
    small = [_shrink(plane, side) for plane in planes]
    coefficients = torch.from_numpy(codes.to_rgb).float()
    values = torch.einsum("ck,kyx->cyx", coefficients[:, :3], torch.stack(small)) + coefficients[:, 3, None, None]
    return values.clamp(0, 1)[None]


def _shrink(plane: Plane, side: int) -> torch.Tensor:
    while min(plane.shape) >= 4 * side:  # means of 2 x 2 pixels hardly change the result, and take a third of the time
        half = np.empty((plane.shape[0] // 2, plane.shape[1] // 2), np.float32)
        _halve(plane, half)
        plane = half
    image = torch.from_numpy(np.ascontiguousarray(plane))[None, None]
    if plane.dtype == np.uint16:  # bytes are averaged as integers
        image = image.float()
    return resize_image(image, side, side)[0, 0].float()


def coefficients_of(codes: Codes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the maps from codes to 16-bit R'G'B' and back, for the kernels."""
    backward = codes.from_rgb.astype(np.float32)
    backward[:, :3] /= _WHITE
    return (codes.to_rgb * _WHITE).astype(np.float32), backward


def chroma_factors(planes: list[Plane]) -> tuple[int, int]:
    """Return how many luma columns and rows belong to one chroma sample."""
    (height, width), (chroma_height, chroma_width) = planes[0].shape, planes[1].shape
    return -(-width // chroma_width), -(-height // chroma_height)


def in_bands(run: Callable[[int, int], None], rows: int, rows_per_unit: int) -> None:
    """Call `run(top, bottom)` for bands of rows in parallel; a unit stands for `rows_per_unit` rows of pixels."""
    threads = max(1, min(torch.get_num_threads(), rows * rows_per_unit // _BAND))
    bounds = [rows * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda band: run(*band), pairwise(bounds)))


@compile_kernel
def _halve(plane, result):  # type: ignore[no-untyped-def]
    """Average blocks of 2 x 2 pixels."""
    columns = np.empty(2 * result.shape[1], np.float32)
    quarter = np.float32(0.25)
    for y in range(result.shape[0]):
        upper, lower, out = plane[2 * y], plane[2 * y + 1], result[y]
        for x in range(columns.shape[0]):
            columns[x] = np.float32(upper[x]) + np.float32(lower[x])
        for x in range(out.shape[0]):
            out[x] = quarter * (columns[2 * x] + columns[2 * x + 1])


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
def _shrink_row(values, across, result):  # type: ignore[no-untyped-def]
    """Average a row around each chroma sample, with the weights with which `_enlarge_row` interpolates."""
    width = values.shape[0]
    inner = 0
    if across == 1:
        for x in range(width):
            result[x] = values[x]
        return
    if across == 2:
        quarter, half = np.float32(0.25), np.float32(0.5)
        inner = (
            width - 1
        ) // 2  # samples 1 to inner - 1, and sample 0 below, have both neighbours or lie at the border
        for x in range(1, inner):
            result[x] = quarter * (values[2 * x - 1] + values[2 * x + 1]) + half * values[2 * x]
    for x in range(result.shape[0]):
        if 1 <= x < inner:
            continue
        total, weights = np.float32(0), np.float32(0)
        centre = x * across
        for offset in range(max(1 - across, -centre), min(across, width - centre)):
            weight = np.float32(across - abs(offset))
            total += weight * values[centre + offset]
            weights += weight
        result[x] = total / weights


@compile_kernel
def read_rows(luma, first, second, across, down, map_, pixels, top, bottom, start):  # type: ignore[no-untyped-def]
    """Convert rows `top` to `bottom` to pixels. The first row of `pixels` is row `start`."""
    width = luma.shape[1]
    row = np.empty(first.shape[1], np.float32)
    blue, red = np.empty(width, np.float32), np.empty(width, np.float32)
    values, colours = np.empty(width, np.float32), np.empty((3, width), np.uint16)
    half, zero, white = np.float32(0.5), np.float32(0), np.float32(_WHITE)
    for y in range(top, bottom):
        _enlarge_row(first, y, across, down, row, blue)
        _enlarge_row(second, y, across, down, row, red)
        line, out = luma[y], pixels[y - start]
        for x in range(width):
            values[x] = np.float32(line[x])
        for channel in range(3):
            a, b, c, d = map_[channel, 0], map_[channel, 1], map_[channel, 2], map_[channel, 3] + half
            row_of_channel = colours[channel]
            for x in range(width):
                value = a * values[x] + b * blue[x] + c * red[x] + d
                row_of_channel[x] = np.int32(min(max(value, zero), white))
        first_colour, second_colour, third_colour = colours[0], colours[1], colours[2]
        for x in range(width):
            out[3 * x], out[3 * x + 1], out[3 * x + 2] = first_colour[x], second_colour[x], third_colour[x]


@compile_kernel
def write_rows(  # type: ignore[no-untyped-def]
    pixels, luma, first, second, first_before, second_before, across, down, map_, maximum, top, bottom, offset
):
    """Convert the rows that belong to the chroma rows `top` to `bottom`. The first row of `pixels` is row `offset`."""
    height, width = luma.shape
    row = np.empty(first.shape[1], np.float32)
    before = np.empty(width, np.float32)
    red, green, blue = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    changes = np.empty((2, width), np.float32)
    half, zero = np.float32(0.5), np.float32(0)
    for chroma_row in range(top, bottom):
        start, end = chroma_row * down, min((chroma_row + 1) * down, height)
        changes[:] = zero
        for y in range(start, end):
            line, out = pixels[y - offset], luma[y]
            for x in range(width):
                red[x], green[x], blue[x] = line[3 * x], line[3 * x + 1], line[3 * x + 2]
            a, b, c, d = map_[0, 0], map_[0, 1], map_[0, 2], map_[0, 3] + half
            for x in range(width):
                out[x] = np.int32(min(max(a * red[x] + b * green[x] + c * blue[x] + d, zero), maximum))
            for plane in range(2):
                _enlarge_row(first_before if plane == 0 else second_before, y, across, down, row, before)
                change = changes[plane]
                a, b, c, d = map_[plane + 1, 0], map_[plane + 1, 1], map_[plane + 1, 2], map_[plane + 1, 3]
                for x in range(width):
                    change[x] += a * red[x] + b * green[x] + c * blue[x] + d - before[x]
        scale = np.float32(1 / (end - start))
        for plane in range(2):
            source, target = (first_before, first) if plane == 0 else (second_before, second)
            _shrink_row(changes[plane], across, row)
            for x in range(source.shape[1]):
                value = np.float32(source[chroma_row, x]) + scale * row[x] + half
                target[chroma_row, x] = np.int32(min(max(value, zero), maximum))
