"""Semantic masks: `(B, K, H, W)` in [0, 1], one plane for each of K labels.

The K values of a labelled pixel sum to 1. All values of an unlabelled pixel are 0.
"""

import torch
import torch.nn.functional as F

from lookcast.checks import InputError, check_floating, check_image, check_integer, check_shape
from lookcast.ops.precision import full_precision

PALETTE = (
    ("blue", (0, 0, 255)),
    ("green", (0, 255, 0)),
    ("black", (0, 0, 0)),
    ("white", (255, 255, 255)),
    ("red", (255, 0, 0)),
    ("yellow", (255, 255, 0)),
    ("grey", (128, 128, 128)),
    ("light blue", (0, 255, 255)),
    ("purple", (255, 0, 255)),
)
"""The name and the 8-bit RGB values of the nine colours in mask files, as in Luan et al. Label k has colour k."""

NUM_LABELS = len(PALETTE)


UNLABELLED = 255
"""Value of an unlabelled pixel in a label map. Mask files in the nine colours have no unlabelled pixels."""


def labels_to_mask(labels: torch.Tensor, size: tuple[int, int] | torch.Size | None = None) -> torch.Tensor:
    """Convert a label map to a mask of a given size.

    The function converts one label at a time and resizes its plane by area averages. It needs less memory than a
    one-hot mask in the size of the label map.

    Args:
        labels: uint8 `(B, H, W)`; each value is 0 to 8, or `UNLABELLED`.
        size: `(h, w)` of the mask; None keeps the size of the label map.

    Returns:
        float32 `(B, 9, h, w)`: the share of each label in each pixel.

    Raises:
        ShapeError: `labels` has the wrong number of dimensions.
        InputError: `labels` is empty, or a side of the mask is below 1.
    """
    check_shape("labels", labels, ("B", "H", "W"))
    size = labels.shape[1:] if size is None else size
    planes = ((labels == label)[:, None].float() for label in range(NUM_LABELS))
    return torch.cat([resize_mask(plane, size) for plane in planes], 1)


def colors_to_mask(colors: torch.Tensor) -> torch.Tensor:
    """Convert an image in the nine colours to a mask.

    Each pixel gets the label of the nearest colour, also at antialiased edges.

    Args:
        colors: `(B, 3, H, W)` in [0, 1].

    Returns:
        One-hot `(B, 9, H, W)`.

    Raises:
        ShapeError: `colors` is not an image.
    """
    check_image("colors", colors)
    exact = full_precision(colors)  # half precision would confuse colours that are equally near
    palette = torch.tensor([rgb for _, rgb in PALETTE], device=colors.device, dtype=exact.dtype) / 255
    # Loop over the colours, because all differences at once would take 27 planes of the image's size.
    distance = torch.stack([(exact - color.view(3, 1, 1)).square().sum(1) for color in palette], 1)
    one_hot = F.one_hot(distance.argmin(1), NUM_LABELS)
    return one_hot.permute(0, 3, 1, 2).to(colors.dtype)


def mask_to_colors(mask: torch.Tensor) -> torch.Tensor:
    """Convert a mask to an image in the nine colours.

    Each pixel gets the colour of the label with the largest value. An unlabelled pixel gets the first colour. For
    one-hot masks, this function is the inverse of `colors_to_mask`.

    Args:
        mask: `(B, K, H, W)`, K from 1 to 9.

    Returns:
        `(B, 3, H, W)` in [0, 1], in the mask's dtype.

    Raises:
        ShapeError: the mask has the wrong number of dimensions.
        InputError: the mask has more than nine labels, is not floating point, or is empty.
    """
    check_soft_mask("mask", mask)
    if mask.shape[1] > NUM_LABELS:
        raise InputError(f"mask: has {mask.shape[1]} labels, there are colours for 1 to {NUM_LABELS}")
    palette = torch.tensor([rgb for _, rgb in PALETTE], device=mask.device, dtype=mask.dtype) / 255
    return palette[mask.argmax(1)].permute(0, 3, 1, 2).contiguous()


def resize_mask(mask: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Resize a mask by area averages.

    Resizing keeps the sum of a pixel's K values. It also keeps the share of the photo that each label covers.

    Args:
        mask: `(B, K, H, W)`.
        size: the new height and width `(h, w)`.

    Returns:
        `(B, K, h, w)`, with soft values at the edges of regions.

    Raises:
        ShapeError: the mask has the wrong number of dimensions.
        InputError: the mask is not floating point or is empty, or a side is below 1.
    """
    check_soft_mask("mask", mask)
    height, width = size
    if min(height, width) < 1:
        raise InputError(f"size: expected at least 1 x 1, got {height} x {width}")
    rows, columns = mask.shape[-2] // height, mask.shape[-1] // width
    if mask.shape[-2:] == (rows * height, columns * width):  # average pooling is several times as fast
        return mask if (rows, columns) == (1, 1) else F.avg_pool2d(mask, (rows, columns))
    return F.interpolate(mask, (height, width), mode="area")


def blur_mask(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """Replace each pixel of a mask by the mean over a window, with replicated borders.

    If the K values of every pixel sum to 1, they still do after blurring.

    Args:
        mask: `(B, K, H, W)`.
        radius: r, from 0 to 64; the window has 2 r + 1 x 2 r + 1 pixels.

    Returns:
        `(B, K, H, W)`.

    Raises:
        ShapeError: the mask has the wrong number of dimensions.
        InputError: the mask is not floating point or is empty, or the radius is out of range.
    """
    check_soft_mask("mask", mask)
    check_integer("radius", radius, 0, 64)
    if not radius:
        return mask
    return F.avg_pool2d(F.pad(mask, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)


def check_soft_mask(name: str, mask: torch.Tensor) -> None:
    """Refuse a mask that is not `(B, K, H, W)` in floating point, or that is empty.

    Raises:
        ShapeError: the mask has the wrong number of dimensions.
        InputError: the mask is not floating point, or is empty.
    """
    check_shape(name, mask, ("B", "K", "H", "W"))
    check_floating(name, mask, "floating point in [0, 1]")


def check_aspect(name: str, mask_size: tuple[int, int], image_size: tuple[int, int]) -> None:
    """Refuse a mask whose aspect ratio differs from the aspect ratio of its photo.

    The mask may be larger or smaller than the photo, and its sides may be rounded to whole pixels.

    Args:
        name: name of the mask in the error message.
        mask_size: height and width of the mask.
        image_size: height and width of the photo.

    Raises:
        InputError: the mask, scaled to the size of the photo, differs in a side by more than one pixel of the smaller
            image.
    """
    (mh, mw), (ih, iw) = mask_size, image_size
    # Try the scale of each side, because half a pixel on a panorama's short side is many pixels on its long side.
    if all(max(abs(mh - ih * scale), abs(mw - iw * scale)) > max(1.0, scale) for scale in (mh / ih, mw / iw)):
        raise InputError(
            f"{name}: is {mw}x{mh} pixels, its photo {iw}x{ih}: another aspect ratio, so it can't be resized to fit"
        )
