"""Grid to image in one pass on a CUDA device: guide, slicing, affine transform, and clamping and rounding for integers.

The kernels are in `bilateral_triton`. Every pixel is read once and written once, nothing else is allocated or waited
for, so a call may be recorded in a CUDA graph.

What to expect on an H200 (132 multiprocessors at 1.75 GHz, 4.3 TB/s); all of it computed, none of it measured:

| 12 Mpx | bytes, read and written | at 4.3 TB/s | instructions a pixel, compiled for sm_90 | at 4 a cycle |
|---|---|---|---|---|
| uint8 | 72 MB | 17 us | 180 | 73 us |
| uint16 | 144 MB | 33 us | 340 | 139 us |
| float32 | 288 MB | 67 us | 300 | 120 us |
| gradient, float32 | 288 MB | 67 us | 360 | 145 us |

So instructions are the limit, not memory. A gather of 2 x 2 x 2 cells would bring 384 bytes a pixel through L1: 156 us
at 128 bytes a cycle, before its arithmetic. A program of the gradient ends with `2 * 2 * D * 12` atomic additions: for
4 Mpx about 70 to each number of the grid.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch.autograd.function import once_differentiable

from lookcast.checks import InputError, check_image, check_shape
from lookcast.ops.bilateral.reference import COEFFICIENTS
from lookcast.ops.bilateral.triton import apply_kernel, gradient_kernel

_FLOATS = {torch.float32, torch.float16, torch.bfloat16}
_WHITE = {torch.uint8: 255, torch.uint16: 65535}
_ROWS = 16  # of pixels in a program: enough to make the loading of its cells cheap, few enough to fill a large device
_MAX_COLUMNS = 64  # two pixels for each thread of the one warp: more need more registers than there are
_MAX_DEPTH = 32  # the weights of a row of pixels live in registers


def supports(grid: torch.Tensor, image: torch.Tensor) -> bool:
    """Whether the functions here can take the place of the reference: speed apart, nobody is to see a difference.

    Left to the reference: float64, a gradient to the image, deterministic algorithms (the gradient's sums are atomic),
    devices before Ampere (no tf32) and those of other makers, and grids far deeper than a generator's.

    Args:
        grid: as the function takes it.
        image: the image or the pixels.
    """
    return (
        image.is_cuda
        and torch.version.hip is None
        and torch.cuda.get_device_capability(image.device) >= (8, 0)
        and grid.device == image.device
        and grid.dtype in _FLOATS
        and image.dtype in _FLOATS | _WHITE.keys()
        and grid.shape[-3] <= _MAX_DEPTH
        and not (torch.is_grad_enabled() and image.requires_grad)
        and not (torch.is_grad_enabled() and grid.requires_grad and torch.are_deterministic_algorithms_enabled())
    )


def apply_grid(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Slice a grid by the luma of an image and apply the transforms to it: `slice_apply(grid, luma(image), image)`.

    Half precision is computed in float32 from the first step; the reference rounds the luma to it. The gradient goes to
    the grid alone: see `supports`.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        image: `(B, 3, H, W)` in [0, 1].

    Returns:
        `(B, 3, H, W)`, float32, not clamped.

    Raises:
        ShapeError: dimensions or batch sizes that do not fit.
    """
    check_image("image", image)
    check_shape("grid", grid, (image.shape[0], COEFFICIENTS, "D", "GH", "GW"))
    applied: torch.Tensor = _ApplyGrid.apply(grid, image)
    return applied


def apply_grid_to_pixels(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Apply a grid to a photo as files hold it: `apply_grid`, clamped and rounded to the nearest level.

    At most a level from the reference: weights are in half precision for uint8, everything is in float32 for uint16.

    Args:
        grid: `(12, D, GH, GW)`, floating point.
        pixels: `(H, W, 3)`, uint8 or uint16.

    Returns:
        `(H, W, 3)`, of the type of the pixels.

    Raises:
        ShapeError: dimensions that do not fit.
        InputError: pixels of another type.
    """
    check_shape("pixels", pixels, ("H", "W", 3))
    check_shape("grid", grid, (COEFFICIENTS, "D", "GH", "GW"))
    if pixels.dtype not in _WHITE:
        raise InputError(f"pixels: expected uint8 or uint16, got {pixels.dtype}")
    pixels, output = pixels.contiguous(), torch.empty_like(pixels, memory_format=torch.contiguous_format)
    _launch(apply_kernel, pixels[None], grid[None], output, pixels.shape[:2], white=_WHITE[pixels.dtype])
    return output


class _ApplyGrid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        image = image.contiguous()
        ctx.save_for_backward(image)
        ctx.grid_shape, ctx.grid_dtype = grid.shape, grid.dtype
        output = torch.empty_like(image, dtype=torch.float32)
        _launch(apply_kernel, image, grid, output, image.shape[-2:], white=1)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (image,) = ctx.saved_tensors
        total = torch.zeros(ctx.grid_shape, dtype=torch.float32, device=image.device)
        _launch(gradient_kernel, image, total, gradient.contiguous(), image.shape[-2:])
        return total.to(ctx.grid_dtype), None


def _launch(
    kernel: Any, image: torch.Tensor, grid: torch.Tensor, other: torch.Tensor, size: Sequence[int], **constants: int
) -> None:
    """Start a program for every rectangle of pixels, before the first cell centre, between any two, after the last."""
    depth, *cells = grid.shape[2:]
    tall, wide = (triton.cdiv(pixels, count) for pixels, count in zip(size, cells, strict=True))
    columns = min(max(triton.next_power_of_2(wide), 16), _MAX_COLUMNS)  # tensor cores take no fewer than 16
    programs = ((cells[1] + 1) * triton.cdiv(wide, columns), (cells[0] + 1) * triton.cdiv(tall, _ROWS), len(image))
    constants |= {"levels": max(triton.next_power_of_2(depth), 8), "rows": _ROWS, "columns": columns}
    with torch.cuda.device(image.get_device()):
        kernel[programs](
            image, grid.contiguous(), other, *size, depth, *cells, **constants, num_warps=1, enable_fp_fusion=True
        )
