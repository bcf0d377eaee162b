"""Small versions of photos: all that a generator with a grid sees of them."""

import torch
import torch.nn.functional as F

from lookcast.checks import check_image, check_shape

_BAND = 256
"""Rows of deep pixels that are floating point at a time."""


def thumbnail_of(image: torch.Tensor, side: int) -> torch.Tensor:
    """Resize to a square, bilinear with antialiasing.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        side: of the square.

    Returns:
        `(B, 3, side, side)` in [0, 1]; the image itself if it has that size.
    """
    check_image("image", image)
    if not torch.compiler.is_exporting() and image.shape[-2:] == (side, side):  # an exported graph serves every size
        return image
    return _resize(image, side, side).clamp(0, 1)


def resize_pixels(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize a photo's pixels, bilinear with antialiasing, without a floating point plane of the photo's size.

    8-bit pixels are averaged as integers, forty times as fast: each value of the result is off by at most a level, by
    chance, so that the look of such a thumbnail moves by a few hundredths of a level.

    Args:
        pixels: `(H, W, 3)`: uint8, uint16, or floating point in [0, 1].
        size: the new height and width.

    Returns:
        `(1, 3, height, width)` float32 in [0, 1].
    """
    check_shape("pixels", pixels, ("H", "W", 3))
    image = pixels.permute(2, 0, 1)[None]
    if pixels.dtype == torch.uint8:
        return _resize(image, *size).float() / 255
    # Separable: rows to their width first, a band at a time.
    narrow = torch.cat([_resize(band.float(), band.shape[2], size[1]) for band in torch.split(image, _BAND, dim=2)], 2)
    levels = 1.0 if pixels.is_floating_point() else float(torch.iinfo(pixels.dtype).max)
    return (_resize(narrow, *size) / levels).clamp(0, 1)


def _resize(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return F.interpolate(image, (height, width), mode="bilinear", antialias=True)
