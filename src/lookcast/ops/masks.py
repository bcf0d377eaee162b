"""Semantic masks: `(B, K, H, W)` in [0, 1], sums to 1 over K; the sum of an unlabelled pixel is 0."""

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
"""The nine colours of mask files, as Luan et al. store them: name and 8-bit RGB. Label k has the k-th colour."""

NUM_LABELS = len(PALETTE)


UNLABELLED = 255
"""The value of a pixel without a label, in a map of labels. Files in the nine colours have no such pixel."""


def labels_to_mask(labels: torch.Tensor, size: tuple[int, int] | torch.Size | None = None) -> torch.Tensor:
    """Expand labels to a mask, resized by area.

    One label is expanded at a time, so that no one-hot mask of the photo's size exists.

    Args:
        labels: uint8 `(B, H, W)`, 0 to 8 or `UNLABELLED`.
        size: `(h, w)`; None keeps the size.

    Returns:
        float32 `(B, 9, h, w)`: the share of each pixel that a label covers.

    Raises:
        ShapeError: another number of dimensions.
    """
    check_shape("labels", labels, ("B", "H", "W"))
    size = labels.shape[1:] if size is None else size
    planes = ((labels == label)[:, None].float() for label in range(NUM_LABELS))
    return torch.cat([resize_mask(plane, size) for plane in planes], 1)


def colors_to_mask(colors: torch.Tensor) -> torch.Tensor:
    """Convert an image in the nine colours to a mask; each pixel takes the nearest colour, antialiased edges too.

    Args:
        colors: `(B, 3, H, W)` in [0, 1].

    Returns:
        One-hot `(B, 9, H, W)`.

    Raises:
        ShapeError: not an image.
    """
    check_image("colors", colors)
    palette = torch.tensor([rgb for _, rgb in PALETTE], device=colors.device, dtype=colors.dtype) / 255
    # Colour by colour: all differences at once would take 27 planes of the image.
    distance = torch.stack([(colors - color.view(3, 1, 1)).square().sum(1) for color in palette], 1)
    one_hot = F.one_hot(distance.argmin(1), NUM_LABELS)
    return one_hot.permute(0, 3, 1, 2).to(colors.dtype)


def mask_to_colors(mask: torch.Tensor) -> torch.Tensor:
    """Convert a mask to an image in the nine colours, each pixel in the colour of its largest label.

    The inverse of `colors_to_mask` for one-hot masks. An unlabelled pixel takes the first colour.

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
    """Resize a mask, by area when shrinking: sums over K and shares of labels stay.

    Args:
        mask: `(B, K, H, W)`.
        size: `(h, w)`.

    Returns:
        `(B, K, h, w)`; soft at the edges.
    """
    check_shape("mask", mask, ("B", "K", "H", "W"))
    height, width = size
    rows, columns = mask.shape[-2] // max(height, 1), mask.shape[-1] // max(width, 1)
    if mask.shape[-2:] == (rows * height, columns * width):  # pooling of whole squares is several times as fast
        return mask if (rows, columns) == (1, 1) else F.avg_pool2d(mask, (rows, columns))
    return F.interpolate(mask, (height, width), mode="area")


def check_aspect(name: str, mask_size: tuple[int, int], image_size: tuple[int, int]) -> None:
    """Refuse a mask of another aspect ratio than its photo; scale and rounding may differ.

    Args:
        name: the name of the mask, for the message.
        mask_size: height and width of the mask.
        image_size: height and width of the photo.

    Raises:
        InputError: the sizes differ by more than one pixel of the smaller of the two.
    """
    (mh, mw), (ih, iw) = mask_size, image_size
    # By the scale of either side: half a pixel on the short side of a panorama is many pixels on its long side.
    if all(max(abs(mh - ih * scale), abs(mw - iw * scale)) > max(1.0, scale) for scale in (mh / ih, mw / iw)):
        raise InputError(
            f"{name}: is {mw}x{mh} pixels, its photo {iw}x{ih}: another aspect ratio, so it can't be resized to fit"
        )
