"""Resizing of photos and of their feature maps."""

from functools import reduce

import torch
import torch.nn.functional as F

from lookcast.checks import InputError, check_floating, check_image, check_shape
from lookcast.ops.precision import full_precision

_BAND = 256
"""Number of rows that `resize_pixels` converts to floating point at a time."""


def resize_image(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize an image `(B, C, H, W)` to `(B, C, height, width)` by bilinear interpolation with antialiasing.

    The result has the type of the image. A CPU computes half precision in float32.

    Raises:
        InputError: the image has other dimensions, is empty, or is neither uint8 nor floating point; or a new side is
            below 1.
    """
    check_shape("image", image, ("B", "C", "H", "W"))
    if image.dtype != torch.uint8 or 0 in image.shape:
        check_floating("image", image)
    if min(height, width) < 1:
        raise InputError(f"size: expected at least 1 x 1, got {height} x {width}")
    narrow = 1 in (width, image.shape[-1])
    on_cpu = image.device.type == "cpu" and (narrow or image.dtype in (torch.float16, torch.bfloat16))
    if on_cpu or (image.is_cuda and image.dtype == torch.uint8):
        # torch 2.14 has no kernel for half precision on a CPU, and none for uint8 on a GPU. For an old or new width
        # of 1, its CPU kernels for uint8 and for the memory format channels_last give wrong values, or fail. Its kernel
        # for float planes is right.
        planes = full_precision(image).flatten().view(-1, 1, *image.shape[-2:])
        resized = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)
        resized = resized.view(*image.shape[:2], height, width)
        return (resized.round() if image.dtype == torch.uint8 else resized).to(image.dtype)
    return F.interpolate(image, (height, width), mode="bilinear", antialias=True)


def thumbnail_of(image: torch.Tensor, side: int) -> torch.Tensor:
    """Resize an image to a square thumbnail.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        side: side of the square, in pixels.

    Returns:
        `(B, 3, side, side)` in [0, 1]; the image itself if the image already has this size.
    """
    check_image("image", image)
    if not torch.compiler.is_exporting() and image.shape[-2:] == (side, side):  # an exported graph takes every size
        return image
    return resize_image(image, side, side).clamp(0, 1)


def resize_pixels(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize the pixels of a photo. On a CPU, there is no floating-point copy of the whole photo.

    A CPU averages 8-bit pixels as integers, which is forty times as fast as floating point. Rounding then gives each
    value of the result a random error of at most one level. These errors change the statistics of a thumbnail by a few
    hundredths of a level. A GPU averages the rows of 8-bit pixels by a product of half-precision matrices, which needs
    6 bytes of memory for each pixel, and whose result is off by at most .15 levels.

    Args:
        pixels: `(H, W, 3)`: uint8, uint16, or floating point in [0, 1].
        size: the new height and width.

    Returns:
        `(1, 3, height, width)` float32 in [0, 1].

    Raises:
        ShapeError: `pixels` has another shape.
        InputError: `pixels` is empty or of another type, or a new side is below 1.
    """
    check_shape("pixels", pixels, ("H", "W", 3))
    if not pixels.is_floating_point() and pixels.dtype not in (torch.uint8, torch.uint16):
        raise InputError(f"pixels: expected uint8, uint16 or floating point, got {pixels.dtype}")
    if pixels.is_cuda:
        return _resize_by_products(pixels, size)
    image = pixels.permute(2, 0, 1)[None]
    if pixels.dtype == torch.uint8:
        return resize_image(image, *size).float() / 255
    # Bilinear resizing is separable. First resize the rows to the new width, band by band, then the columns.
    bands = torch.split(image, _BAND, dim=2)
    narrow = torch.cat([resize_image(band.float(), band.shape[2], size[1]) for band in bands], 2)
    levels = 1.0 if pixels.is_floating_point() else float(torch.iinfo(pixels.dtype).max)
    return (resize_image(narrow, *size) / levels).clamp(0, 1)


def _resize_by_products(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize pixels by two products of matrices; see `resize_pixels`.

    torch's kernel for GPUs refuses uint8, and it refuses sides that are about a hundred times the new sides
    (torchvision issue 7671).

    Raises:
        InputError: `pixels` is empty, or a new side is below 1.
    """
    if 0 in pixels.shape or min(size) < 1:
        raise InputError(f"pixels, size: expected at least 1 x 1, got {tuple(pixels.shape)} and {size}")
    height, width = pixels.shape[:2]
    kind = torch.float16 if pixels.dtype == torch.uint8 else torch.float32
    down, across = (_average_matrix(*sides, pixels.device) for sides in zip((height, width), size, strict=True))
    rows = (down.to(kind) @ pixels.reshape(height, -1).to(kind)).float().view(size[0], width, 3)
    small = rows.permute(2, 0, 1) @ across.T
    levels = 1.0 if pixels.is_floating_point() else float(torch.iinfo(pixels.dtype).max)
    return (small[None] / levels).clamp(0, 1)


def _average_matrix(pixels: int, new: int, device: torch.device) -> torch.Tensor:
    """Return the weights `(new, pixels)` of bilinear resizing with antialiasing along one axis. A row sums to 1."""
    wide = max(1.0, pixels / new)  # half the width of the tent that averages pixels
    positions = (torch.arange(pixels, device=device, dtype=torch.float32) + 0.5) / wide
    centres = (torch.arange(new, device=device, dtype=torch.float32) + 0.5) * (pixels / new / wide)
    weights = (1 - (positions - centres[:, None]).abs()).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def shrink_to_side(x: torch.Tensor, side: int) -> torch.Tensor:
    """Shrink a map `(B, C, S, S)` to `(B, C, side, side)` by block averages. S must be a multiple of `side`.

    Raises:
        InputError: the map has another shape, is empty or not floating point, or S is no multiple of `side`.
    """
    check_shape("x", x, ("B", "C", x.shape[-1], x.shape[-1]))
    check_floating("x", x)
    if side < 1 or x.shape[-1] % side:
        raise InputError(f"side: expected a divisor of {x.shape[-1]}, got {side}")
    factor = x.shape[-1] // side
    if factor == 1:
        return x
    if x.is_cuda:
        return F.avg_pool2d(x, factor)
    # On a CPU, sums of strided planes are vectorised and take half the time of pooling with small windows.
    rows = reduce(torch.add, (x[..., row::factor, :] for row in range(factor)))
    return reduce(torch.add, (rows[..., column::factor] for column in range(factor))) / factor**2
