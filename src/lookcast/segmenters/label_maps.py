"""Thumbnails for segmentation networks, and masks from the soft maps that these networks return."""

import torch

from lookcast.checks import check_shape
from lookcast.ops.masks import NUM_LABELS
from lookcast.ops.resize import resize_image


def thumbnail(image: torch.Tensor, max_side: int, min_side: int = 16, multiple: int = 1) -> torch.Tensor:
    """Shrink a photo to the size of a network's input; bilinear with antialiasing, in float32.

    The aspect ratio is kept up to rounding, unless a side would fall below `min_side`: then a thin photo is stretched
    and a small one enlarged, because networks can't read smaller ones.

    Args:
        image: `(B, 3, H, W)`.
        max_side: longer side of the result, in pixels; a smaller photo keeps its size.
        min_side: minimum of both sides, in pixels.
        multiple: both sides are multiples of this.

    Returns:
        `(B, 3, h, w)`.
    """
    scale = min(1.0, max_side / max(image.shape[-2:]))
    min_side = -(-min_side // multiple) * multiple
    size = [max(round(side * scale / multiple) * multiple, min_side) for side in image.shape[-2:]]
    return resize_image(image.float(), *size)


def label_map(soft: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Enlarge soft maps and return the label of the largest at every pixel, the first of equals.

    Borders are smooth, unlike those of enlarged labels. Labels are enlarged one by one, so that a large photo needs
    memory for three planes, not for one per label.

    Args:
        soft: `(1, K, h, w)`.
        size: `(H, W)`.

    Returns:
        `(1, H, W)`, 0 to K - 1, uint8.
    """
    check_shape("soft", soft, (1, "K", "h", "w"))
    planes = (resize_image(soft[:, k : k + 1], *size) for k in range(len(soft[0])))
    best = next(planes)
    labels = torch.zeros_like(best, dtype=torch.uint8)
    for k, plane in enumerate(planes, start=1):
        labels[plane > best] = k
        best = torch.maximum(best, plane)
    return labels[:, 0]


def shares(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Return the share of the pixels of each label 0 to `count` - 1: `(count,)`, float64 on the CPU."""
    return torch.bincount(labels.flatten(), minlength=count).cpu().double() / labels.numel()


def merge_smallest(total: torch.Tensor, rest: int) -> torch.Tensor:
    """Return the new label of each label, so that at most nine are left.

    Args:
        total: share of each label, `(K,)`; 0 if it is absent.
        rest: the label that the smallest ones are merged into; if it is absent, the most common one.

    Returns:
        `(K,)`, int64; labels that are kept, and absent ones, map to themselves.
    """
    table = torch.arange(len(total))
    present = [int(k) for k in total.argsort(descending=True, stable=True) if total[k] > 0]
    target = rest if rest in present else present[0]
    others = [k for k in present if k != target]
    table[others[NUM_LABELS - 1 :]] = target
    return table


def one_hot_pair(
    content: torch.Tensor, style: torch.Tensor, table: torch.Tensor
) -> tuple[tuple[torch.Tensor, torch.Tensor], list[int]]:
    """Return the masks of two label maps after merging.

    Args:
        content: `(1, H, W)`, uint8.
        style: `(1, h, w)`, uint8.
        table: new label of each label, `(K,)`.

    Returns:
        The masks, one-hot uint8, `(1, k, H, W)` and `(1, k, h, w)`, and the k labels that occur in either photo.
    """
    table = table.to(torch.uint8)
    merged = [table.to(labels.device)[labels.int()] for labels in (content, style)]
    found = shares(merged[0], len(table)) + shares(merged[1], len(table))
    kept = [k for k in range(len(table)) if found[k] > 0]
    # Plane by plane: F.one_hot would take eight bytes per pixel and label.
    first, second = (torch.stack([labels == k for k in kept], 1).to(torch.uint8) for labels in merged)
    return (first, second), kept
