"""Apply a grid on a CUDA device in one pass: guide, slicing and affine transform; for integers, clamping and rounding.

The kernels are in `ops.bilateral.triton`. A kernel reads and writes every pixel once. A call allocates only the result
and never waits for the device, so a CUDA graph can record the call.

Expected times on an H200 (132 multiprocessors at 1.75 GHz, 4.3 TB/s); calculated, not measured:

| 12 Mpx | bytes, read and written | time at 4.3 TB/s | instructions per pixel on sm_90 | time at 4 per cycle |
|---|---|---|---|---|
| uint8 | 72 MB | 17 us | 180 | 73 us |
| uint16 | 144 MB | 33 us | 340 | 139 us |
| float32 | 288 MB | 67 us | 300 | 120 us |
| gradient, float32 | 288 MB | 67 us | 360 | 145 us |

The speed is limited by instructions, not by memory. A gather of 2 x 2 x 2 cells would move 384 bytes per pixel through
the L1 cache. The gather alone would take 156 us at 128 bytes per cycle. A program of the gradient kernel ends with
`2 * 2 * D * 12` atomic additions. For 4 Mpx, each number of the grid gets about 70 additions.
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
_ROWS = 16  # rows of pixels per program: enough to make the load of the cells cheap, few enough to fill a large GPU
_MAX_COLUMNS = 64  # two pixels per thread of the warp; more pixels do not fit into the registers
_MAX_DEPTH = 32  # the weights of a row of pixels must fit into the registers


def supports(grid: torch.Tensor, image: torch.Tensor) -> bool:
    """Return whether the fused kernels support these inputs.

    The following cases need the reference implementation:

    * float64
    * an image that needs a gradient
    * a grid that needs a gradient by deterministic algorithms, because the kernel sums the gradient by atomic additions
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
        and not (torch.is_grad_enabled() and grid.requires_grad and torch.are_deterministic_algorithms_enabled())
    )


def apply_grid(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Compute `slice_apply(grid, luma(image), image)`.

    The kernel converts half-precision images to float32 first, while the reference computes their luma in half
    precision. Only the grid gets a gradient, see `supports`.

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
    """Apply a grid to integer pixels; the results are clamped and rounded to the nearest level.

    A result differs from the reference by at most one level. The interpolation weights are in half precision for uint8
    and in float32 for uint16.

    Args:
        grid: `(12, D, GH, GW)`, floating point.
        pixels: `(H, W, 3)`, uint8 or uint16.

    Returns:
        `(H, W, 3)`, in the type of the pixels.

    Raises:
        ShapeError: a tensor does not have the stated shape.
        InputError: the pixels have an unsupported type.
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
    """Start one program per rectangle of pixels.

    The cell centres divide each axis into intervals. A rectangle lies inside one interval of each axis.
    """
    depth, *cells = grid.shape[2:]
    tall, wide = (triton.cdiv(pixels, count) for pixels, count in zip(size, cells, strict=True))
    columns = min(max(triton.next_power_of_2(wide), 16), _MAX_COLUMNS)  # tensor cores need at least 16
    programs = ((cells[1] + 1) * triton.cdiv(wide, columns), (cells[0] + 1) * triton.cdiv(tall, _ROWS), len(image))
    constants |= {"levels": max(triton.next_power_of_2(depth), 8), "rows": _ROWS, "columns": columns}
    with torch.cuda.device(image.get_device()):
        kernel[programs](
            image, grid.contiguous(), other, *size, depth, *cells, **constants, num_warps=1, enable_fp_fusion=True
        )
