"""Apply a grid on a CUDA device in one pass: guide, slicing and affine transform; for integers, clamping and rounding.

The kernels are in `ops.bilateral.triton`; the kernel for uint8 is in `ops.bilateral.triton_bytes`. A kernel reads and
writes every pixel once. A call never waits for the device, so a CUDA graph can record it. It allocates only the
result, except for the deterministic gradient, which needs memory for the sums of each program.

Times on an H200 for 12 Mpx, measured by `scripts/benchmark_gpu.py`, beside a copy of the same bytes:

| | bytes, read and written | copy | kernel | instructions per pixel on sm_90 |
|---|---|---|---|---|
| uint8 | 72 MB | 30 us | 79 us | 104 |
| uint16 | 144 MB | 57 us | 290 us | 340 |
| float32 | 288 MB | 109 us | 247 us planar, 269 us interleaved | 300 |
| gradient, float32 | 288 MB | 109 us | 348 us | 360 |

The speed is limited by instructions and their latency, not by memory: at 4 instructions per cycle of each of the 132
multiprocessors, the kernels would take half of these times. A gather of 2 x 2 x 2 cells would move 384 bytes per pixel
through the L1 cache. The gather alone would take 156 us at 128 bytes per cycle. A program of the gradient kernel ends
with `2 * 2 * D * 12` atomic additions.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch.autograd.function import once_differentiable

from lookcast.checks import InputError, check_image, check_shape
from lookcast.ops.bilateral.reference import COEFFICIENTS
from lookcast.ops.bilateral.triton import apply_kernel, gradient_kernel
from lookcast.ops.bilateral.triton_bytes import apply_bytes_kernel

_FLOATS = {torch.float32, torch.float16, torch.bfloat16}
_WHITE = {torch.uint8: 255, torch.uint16: 65535, torch.float32: 1}
_ROWS = 16  # rows of pixels per program: enough to make the load of the cells cheap, few enough to fill a large GPU
_COLUMNS = 64  # two pixels per thread of the warp; more pixels do not fit into the registers
_GRADIENT_COLUMNS = 32  # with 64, the gradient takes 1.4 times as long
_MAX_DEPTH = 32  # the weights of a row of pixels must fit into the registers
_BYTES_DEPTH = 8  # the kernel for uint8 has one tile of the tensor cores for the depth
_COMPILED = isinstance(apply_bytes_kernel, triton.JITFunction)  # Triton's interpreter runs no PTX


def supports(grid: torch.Tensor, image: torch.Tensor) -> bool:
    """Return whether the fused kernels support these inputs.

    The following cases need the reference implementation:

    * float64
    * an image that needs a gradient
    * NVIDIA GPUs before Ampere, which have no tf32, and devices of other makers
    * grids with more than 32 cells in depth

    Args:
        grid: the grid for `apply_grid` or `apply_grid_to_pixels`.
        image: the image for `apply_grid`, or the pixels for `apply_grid_to_pixels`.
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
    )


def apply_grid(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Compute `slice_apply(grid, luma(image), image)`.

    The kernel converts half-precision images to float32 first, while the reference computes their luma in half
    precision. Only the grid gets a gradient, see `supports`. With `torch.use_deterministic_algorithms(True)`, the
    gradient has the same bits in each run.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        image: `(B, 3, H, W)` in [0, 1].

    Returns:
        `(B, 3, H, W)`, float32, not clamped.

    Raises:
        ShapeError: a tensor does not have the stated shape, or the batch sizes differ.
    """
    check_image("image", image)
    check_shape("grid", grid, (image.shape[0], COEFFICIENTS, "D", "GH", "GW"))
    applied: torch.Tensor = _ApplyGrid.apply(grid, image)
    return applied


def apply_grid_to_pixels(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Apply a grid to the pixels of a photo; the results are clamped, and integers are rounded to the nearest level.

    An integer result differs from the reference by at most one level. For uint8, this holds for coefficients up to
    about 8, because they are rounded to half precision; at 16 it is two levels, at 32 five. For other types, products
    are as precise as in float32.

    Args:
        grid: `(12, D, GH, GW)`, floating point.
        pixels: `(H, W, 3)`: uint8, uint16 or float32.

    Returns:
        `(H, W, 3)`, in the type of the pixels.

    Raises:
        ShapeError: a tensor does not have the stated shape.
        InputError: the pixels have an unsupported type.
    """
    check_shape("pixels", pixels, ("H", "W", 3))
    check_shape("grid", grid, (COEFFICIENTS, "D", "GH", "GW"))
    if pixels.dtype not in _WHITE:
        raise InputError(f"pixels: expected uint8, uint16 or float32, got {pixels.dtype}")
    pixels, output = pixels.contiguous(), torch.empty_like(pixels, memory_format=torch.contiguous_format)
    if pixels.dtype == torch.uint8 and grid.shape[1] <= _BYTES_DEPTH and pixels.data_ptr() % 4 == 0 and _COMPILED:
        _launch_bytes(pixels, grid.contiguous(), output)
    else:
        constants = {"white": _WHITE[pixels.dtype], "planar": False}
        _launch(
            apply_kernel, pixels[None], grid[None].contiguous(), output, _Split(grid.shape, pixels.shape[:2]), constants
        )
    return output


class _ApplyGrid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        image = image.contiguous()
        ctx.save_for_backward(image)
        ctx.grid_shape, ctx.grid_dtype = grid.shape, grid.dtype
        output = torch.empty_like(image, dtype=torch.float32)
        constants = {"white": 1, "planar": True}
        _launch(apply_kernel, image, grid.contiguous(), output, _Split(grid.shape, image.shape[-2:]), constants)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (image,) = ctx.saved_tensors
        split = _Split(ctx.grid_shape, image.shape[-2:], _GRADIENT_COLUMNS)
        apart = torch.are_deterministic_algorithms_enabled()
        shape = (len(image), *split.programs, 2, 2, split.levels, 16) if apart else ctx.grid_shape
        total = torch.zeros(shape, dtype=torch.float32, device=image.device)
        _launch(gradient_kernel, image, total, gradient.contiguous(), split, {"apart": apart})
        return (_add_programs(total, ctx.grid_shape) if apart else total).to(ctx.grid_dtype), None


class _Split:
    """The rectangles of an image, one for each program.

    The cell centres divide each axis into intervals. A rectangle lies inside one interval of each axis.

    Attributes:
        sizes: height and width of the image, depth, height and width of the grid.
        programs: number of intervals and of programs in an interval, along y and then along x.
        levels: the depth, rounded up to a power of two.
        columns: maximum width of a rectangle in pixels.
    """

    def __init__(self, grid_shape: Sequence[int], size: Sequence[int], columns: int = _COLUMNS) -> None:
        self.sizes = (*size, *grid_shape[-3:])
        cells = grid_shape[-2:]
        tall, wide = (triton.cdiv(pixels, count) for pixels, count in zip(size, cells, strict=True))
        self.columns = min(max(triton.next_power_of_2(wide), 16), columns)  # tensor cores need at least 16
        self.programs = (cells[0] + 1, triton.cdiv(tall, _ROWS), cells[1] + 1, triton.cdiv(wide, self.columns))
        self.levels = max(triton.next_power_of_2(grid_shape[-3]), 8)


def _launch(
    kernel: Any, image: torch.Tensor, grid: torch.Tensor, other: torch.Tensor, split: _Split, constants: dict[str, int]
) -> None:
    """Start one program per rectangle of pixels."""
    intervals_y, down, intervals_x, across = split.programs
    constants |= {"levels": split.levels, "rows": _ROWS, "columns": split.columns}
    with torch.cuda.device(image.get_device()):
        kernel[intervals_x * across, intervals_y * down, len(image)](
            image, grid, other, *split.sizes, **constants, num_warps=1, enable_fp_fusion=True
        )


def _launch_bytes(pixels: torch.Tensor, grid: torch.Tensor, output: torch.Tensor) -> None:
    """Start one program per rectangle of pixels, as `_launch` does, for uint8. Equal rectangles share an interval."""
    (height, width), (depth, *cells) = pixels.shape[:2], grid.shape[1:]
    tall, wide = triton.cdiv(height, cells[0]), triton.cdiv(width, cells[1])
    groups = 4 if wide > 61 else 2 if wide > 29 else 1
    down, across = triton.cdiv(tall, _ROWS), triton.cdiv(wide, 32 * groups - 3)
    programs = ((cells[1] + 1) * across, (cells[0] + 1) * down)
    sizes = (height, width, depth, *cells, triton.cdiv(wide, across), triton.cdiv(tall, down))
    constants = {"groups": groups, "steady": width % 4 == 0}
    with torch.cuda.device(pixels.get_device()):  # at most 128 registers, so that 16 programs fit on a multiprocessor
        apply_bytes_kernel[programs](pixels, grid, output, *sizes, **constants, num_warps=1, maxnreg=128)


def _add_programs(sums: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Add the sums of all programs, see `gradient_kernel`, in a fixed order; return the gradient of the grid."""
    sums = sums.sum((2, 4))  # (B, intervals along y, along x, above or below, left or right, levels, 16)
    for axis in (1, 2):  # interval i lies between the cells i - 1 and i, and at an end between a cell and itself
        first, second = sums.unbind(3)
        count = first.shape[axis] - 1
        cells = first.narrow(axis, 1, count) + second.narrow(axis, 0, count)
        cells.narrow(axis, 0, 1).add_(first.narrow(axis, 0, 1))
        cells.narrow(axis, count - 1, 1).add_(second.narrow(axis, count, 1))
        sums = cells
    # The columns are (input // 2, output, input % 2), see `_cells` in `ops.bilateral.triton`.
    by_output = sums.view(*sums.shape[:-1], 2, 4, 2).permute(0, 5, 4, 6, 3, 1, 2)[:, :3]
    return by_output.flatten(1, 3)[:, :, : shape[2]]
