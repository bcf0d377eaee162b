"""Semantic masks: `(B, K, H, W)` in [0, 1], sums to 1 over K; a pixel whose sum is 0 is unlabelled."""

import torch
import torch.nn.functional as F

from lookcast.checks import InputError, check_image, check_shape

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
"""The nine colours in which Luan et al. store masks: name and 8-bit RGB; label k is the k-th."""

NUM_LABELS = len(PALETTE)


def colors_to_mask(colors: torch.Tensor) -> torch.Tensor:
    """Read a mask painted in the nine colours; the nearest colour wins (antialiased edges lie between two).

    Args:
        colors: `(B, 3, H, W)` in [0, 1].

    Returns:
        One-hot `(B, 9, H, W)`.

    Raises:
        ShapeError: not an image.
    """
    check_image("colors", colors)
    palette = torch.tensor([rgb for _, rgb in PALETTE], device=colors.device, dtype=colors.dtype) / 255
    # Colour by colour: all differences at once would take 27 planes of the photo.
    distance = torch.stack([(colors - color.view(3, 1, 1)).square().sum(1) for color in palette], 1)
    one_hot = F.one_hot(distance.argmin(1), NUM_LABELS)
    return one_hot.permute(0, 3, 1, 2).to(colors.dtype)


def mask_to_colors(mask: torch.Tensor) -> torch.Tensor:
    """Paint a mask in the nine colours, each pixel in that of its greatest label: what `colors_to_mask` reads.

    The inverse of it for one-hot masks. Soft ones are hardened, and an unlabelled pixel gets the first colour: the nine
    colours have none for it.

    Args:
        mask: `(B, K, H, W)`, K from 1 to 9.

    Returns:
        `(B, 3, H, W)` in [0, 1], in the mask's dtype.

    Raises:
        ShapeError: another number of dimensions.
        InputError: more labels than colours, or not floating point.
    """
    check_shape("mask", mask, ("B", "K", "H", "W"))
    if not 1 <= mask.shape[1] <= NUM_LABELS:
        raise InputError(f"mask: has {mask.shape[1]} labels, there are colours for 1 to {NUM_LABELS}")
    if not mask.is_floating_point():
        raise InputError(f"mask: expected floating point in [0, 1], got {mask.dtype}")
    palette = torch.tensor([rgb for _, rgb in PALETTE], device=mask.device, dtype=mask.dtype) / 255
    return palette[mask.argmax(1)].permute(0, 3, 1, 2).contiguous()


def resize_mask(mask: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Resize by area when shrinking, so that sums over K and the shares of the labels stay.

    Args:
        mask: `(B, K, H, W)`.
        size: `(h, w)`.

    Returns:
        `(B, K, h, w)`; soft at the edges.
    """
    check_shape("mask", mask, ("B", "K", "H", "W"))
    height, width = size
    rows, columns = mask.shape[-2] // max(height, 1), mask.shape[-1] // max(width, 1)
    if mask.shape[-2:] == (rows * height, columns * width):  # whole squares: several times as fast as areas
        return mask if (rows, columns) == (1, 1) else F.avg_pool2d(mask, (rows, columns))
    return F.interpolate(mask, (height, width), mode="area")


def check_aspect(name: str, mask_size: tuple[int, int], image_size: tuple[int, int]) -> None:
    """Refuse a mask that does not cover the photo as it is: (height, width) may differ by scale and rounding only.

    Raises:
        InputError: the aspect ratios differ by more than one pixel of the smaller of the two.
    """
    (mh, mw), (ih, iw) = mask_size, image_size
    # By the scale of either side: half a pixel of a panorama's short side is many of its long one.
    if all(max(abs(mh - ih * scale), abs(mw - iw * scale)) > max(1.0, scale) for scale in (mh / ih, mw / iw)):
        raise InputError(
            f"{name}: is {mw}x{mh} pixels, its photo {iw}x{ih}: another aspect ratio, so it can't be resized to fit"
        )
