"""Choice of the slicing implementation: a fused kernel, an exportable form, or the reference."""

import torch

from lookcast.checks import InputError, check_floating, check_image, check_shape
from lookcast.ops.bilateral.reference import (
    COEFFICIENTS,
    cell_position,
    slice_apply,
    slice_by_guides,
    tent_matrix,
    tent_weight,
)
from lookcast.ops.color import luma
from lookcast.ops.precision import full_precision

PIXEL_TYPES = (torch.uint8, torch.uint16, torch.float32)


def apply_grid(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Apply a grid to an image, with the luma of the image as the guide.

    The result equals `ops.bilateral.reference.slice_apply(grid, luma(image), image)`. The luma is float32 at
    least, because half precision can't resolve the depth. Generators call this function in training and inference. On a
    GPU, the forward pass and the backward pass are one fused kernel each.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        image: `(B, 3, H, W)` in [0, 1].

    Returns:
        `(B, 3, H, W)`, not clamped.

    Raises:
        ShapeError: a tensor does not have the stated shape.
    """
    check_image("image", image)
    if torch.compiler.is_exporting():
        return slice_apply_by_depth(grid, luma(image), image)
    if image.is_cuda:
        from lookcast.ops.bilateral import cuda as bilateral_cuda  # imported here, because some machines have no Triton

        if bilateral_cuda.supports(grid, image):
            return bilateral_cuda.apply_grid(grid, image)
    return slice_apply(grid, luma(full_precision(image)), image)


def apply_grid_to_images(grid: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Apply each grid to several images, as `apply_grid` does.

    On a CPU, interpolating the grid along y takes most of the time if images are small. It is done once for all images
    of a grid.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        images: `(B, T, 3, H, W)` in [0, 1]: T images for each grid.

    Returns:
        `(B, T, 3, H, W)`, not clamped.

    Raises:
        ShapeError: a tensor does not have the stated shape.
        InputError: a tensor is empty or not floating point.
    """
    check_shape("grid", grid, ("B", COEFFICIENTS, "D", "GH", "GW"))
    check_shape("images", images, (grid.shape[0], "T", 3, "H", "W"))
    check_floating("grid", grid)
    check_floating("images", images)
    one_by_one = images.flatten(0, 1)
    if images.device.type != "cpu" or torch.compiler.is_exporting():
        grids = grid[:, None].expand(-1, images.shape[1], *grid.shape[1:]).flatten(0, 1)
        return apply_grid(grids, one_by_one).view_as(images)
    guides = luma(full_precision(one_by_one)).view(len(grid), -1, *images.shape[-2:])
    rows = slice_by_guides(grid, guides).view(len(grid), 3, 4, *guides.shape[1:])
    applied: torch.Tensor = (rows[:, :, :3] * images.transpose(1, 2)[:, None]).sum(2) + rows[:, :, 3]
    return applied.transpose(1, 2)


def apply_grid_to_pixels(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Apply a grid to the pixels of a photo, and return pixels of the same type.

    The values equal the result of `apply_grid`, clamped to the range of the type. There is no gradient. Integer results
    are rounded to the nearest level, and may differ from the rounded reference by one level, or by more in 8 bits on a
    GPU if coefficients are above 8. The fused kernels need no floating-point copy of the photo.

    Args:
        grid: `(12, D, GH, GW)`, the grid of one photo.
        pixels: `(H, W, 3)` on the device of the grid, in any memory layout: uint8, uint16 or float32 in [0, 1].

    Returns:
        `(H, W, 3)`, of the type of `pixels`.

    Raises:
        ShapeError: a tensor does not have the stated shape.
        InputError: the pixels have an unsupported type, or a tensor is empty.
    """
    check_shape("grid", grid, (COEFFICIENTS, "D", "GH", "GW"))
    check_shape("pixels", pixels, ("H", "W", 3))
    if pixels.dtype not in PIXEL_TYPES:
        raise InputError(f"pixels: expected uint8, uint16 or float32, got {pixels.dtype}")
    check_floating("grid", grid)
    if 0 in pixels.shape:
        raise InputError(f"pixels: expected at least one pixel, got the shape {tuple(pixels.shape)}")
    if pixels.device.type == "cpu":
        from lookcast.ops.bilateral import cpu as bilateral_cpu  # imported here, because numba takes .5 s to import

        return bilateral_cpu.apply_grid_to_pixels(grid, pixels)
    if pixels.is_cuda:
        from lookcast.ops.bilateral import cuda as bilateral_cuda

        if bilateral_cuda.supports(grid, pixels):
            return bilateral_cuda.apply_grid_to_pixels(grid, pixels)
    levels = 1 if pixels.is_floating_point() else torch.iinfo(pixels.dtype).max
    image = pixels.permute(2, 0, 1)[None].float() / levels
    values = apply_grid(grid[None], image)[0].clamp(0, 1).permute(1, 2, 0) * levels
    return values if pixels.is_floating_point() else values.round().to(pixels.dtype)


def apply_grid_to_rows(grid: torch.Tensor, pixels: torch.Tensor, top: int, bottom: int) -> torch.Tensor:
    """Return the rows `top` to `bottom` of `apply_grid_to_pixels(grid, pixels)`, with equal values.

    On a CPU, the other rows are not computed.

    Args:
        grid: see `apply_grid_to_pixels`.
        pixels: see `apply_grid_to_pixels`; the whole photo.
        top: the first row, from 0.
        bottom: the row after the last one, at most H.

    Returns:
        `(bottom - top, W, 3)`, of the type of `pixels`.

    Raises:
        ShapeError: a tensor does not have the stated shape.
        InputError: the pixels have an unsupported type, or the rows are not inside the photo.
    """
    check_shape("pixels", pixels, ("H", "W", 3))
    if not 0 <= top < bottom <= len(pixels):
        raise InputError(f"top, bottom: expected rows in 0 to {len(pixels)}, got {top} to {bottom}")
    if pixels.device.type != "cpu" or pixels.dtype not in PIXEL_TYPES:
        return apply_grid_to_pixels(grid, pixels)[top:bottom]
    from lookcast.ops.bilateral import cpu as bilateral_cpu

    check_shape("grid", grid, (COEFFICIENTS, "D", "GH", "GW"))
    return bilateral_cpu.apply_grid_to_pixels(grid, pixels[top:bottom], top, len(pixels))


def slice_apply_by_depth(grid: torch.Tensor, guide: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Compute `ops.bilateral.reference.slice_apply` with products and sums only, for export.

    Every runtime has products and sums, but few runtimes have a grid sampler for all their devices. In ONNX Runtime and
    with Inductor, this function is as fast as the reference. One exported graph serves every image size and every batch
    size.

    The grid has a plane for each coefficient c and each depth d. Two matrix products, one for each axis, enlarge the
    plane bilinearly to the size of the image. At a pixel with the guide value g, the value of coefficient c is
    `sum_d max(0, 1 - |g D - .5 - d|) a_cd`, where a_cd is the value of the enlarged plane at this pixel.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        guide: `(B, 1, H, W)` in [0, 1].
        image: `(B, 3, H, W)`.

    Returns:
        `(B, 3, H, W)`, not clamped.

    Raises:
        InputError: a tensor is empty or not floating point.
    """
    for name, tensor in (("grid", grid), ("guide", guide), ("image", image)):
        check_floating(name, tensor)
    depth, grid_height, grid_width = grid.shape[-3:]
    height, width = image.shape[-2:]
    rows = tent_matrix(height, grid_height, grid) @ grid.flatten(1, 2)
    columns = tent_matrix(width, grid_width, grid).T
    position = cell_position(guide, depth)
    weights = [tent_weight(position, plane) for plane in range(depth)]
    # One coefficient at a time, because all twelve at once would take 48 bytes per pixel in every step.
    planes = iter(torch.split(rows, 1, 1))
    coefficients = [sum((next(planes) @ columns) * weight for weight in weights) for _ in range(COEFFICIENTS)]
    red, green, blue = torch.split(image, 1, 1)
    channels = [
        coefficients[row] * red + coefficients[row + 1] * green + coefficients[row + 2] * blue + coefficients[row + 3]
        for row in (0, 4, 8)
    ]
    return torch.cat(channels, 1)
