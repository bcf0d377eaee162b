"""Slicing by what the moment asks for: a kernel where one serves, the reference elsewhere."""

import torch

from lookcast.checks import InputError, check_image, check_shape
from lookcast.ops.bilateral import COEFFICIENTS, slice_apply
from lookcast.ops.color import luma

PIXEL_TYPES = (torch.uint8, torch.uint16, torch.float32)


def apply_grid(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Apply a grid to an image whose luma is the guide: what generators and their training call.

    `ops.bilateral.slice_apply(grid, luma(image), image)`; on a GPU by one fused kernel, forward and backward.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        image: `(B, 3, H, W)` in [0, 1].

    Returns:
        `(B, 3, H, W)`, not clamped.

    Raises:
        ShapeError: dimensions that do not fit.
    """
    check_image("image", image)
    if image.is_cuda:
        from lookcast.ops import bilateral_cuda  # here, because Triton is not there for every machine

        if bilateral_cuda.supports(grid, image):
            return bilateral_cuda.apply_grid(grid, image)
    return slice_apply(grid, luma(image), image)


def apply_grid_to_pixels(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Give a photo's pixels the grid's colours, in their own type and, on a CPU or a GPU, without any plane of floats.

    As `apply_grid`, then clamped; integers rounded to the nearest level, of which they may be off by one. No gradient.

    Args:
        grid: `(12, D, GH, GW)`, of one photo.
        pixels: `(H, W, 3)` on the grid's device, in any memory layout: uint8, uint16 or float32 in [0, 1].

    Returns:
        The same shape and type.

    Raises:
        ShapeError: dimensions that do not fit.
        InputError: pixels of another type.
    """
    check_shape("grid", grid, (COEFFICIENTS, "D", "GH", "GW"))
    check_shape("pixels", pixels, ("H", "W", 3))
    if pixels.dtype not in PIXEL_TYPES:
        raise InputError(f"pixels: expected uint8, uint16 or float32, got {pixels.dtype}")
    if pixels.device.type == "cpu":
        from lookcast.ops import bilateral_cpu  # here, because importing numba takes half a second

        return bilateral_cpu.apply_grid_to_pixels(grid, pixels)
    if pixels.is_cuda and not pixels.is_floating_point():
        from lookcast.ops import bilateral_cuda

        if bilateral_cuda.supports(grid, pixels):
            return bilateral_cuda.apply_grid_to_pixels(grid, pixels)
    levels = 1 if pixels.is_floating_point() else torch.iinfo(pixels.dtype).max
    image = pixels.permute(2, 0, 1)[None].float() / levels
    values = apply_grid(grid[None], image)[0].clamp(0, 1).permute(1, 2, 0) * levels
    return values if pixels.is_floating_point() else values.round().to(pixels.dtype)
