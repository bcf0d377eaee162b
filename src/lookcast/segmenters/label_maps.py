"""Resizing of photos for segmentation networks, and conversion of the networks' probability maps to masks."""

import torch

from lookcast.checks import check_shape
from lookcast.ops.masks import NUM_LABELS
from lookcast.ops.resize import resize_image


def thumbnail(image: torch.Tensor, max_side: int, min_side: int = 16, multiple: int = 1) -> torch.Tensor:
    """Shrink a photo to the input size of a network, by bilinear interpolation with antialiasing.

    The aspect ratio is kept up to rounding, unless a side would be shorter than `min_side`. This side then becomes
    `min_side`, because networks need inputs of a minimum size. Thin photos are thus stretched, and small photos are
    enlarged.

    Args:
        image: `(B, 3, H, W)`.
        max_side: maximum length of the longer side of the result, in pixels. A smaller photo keeps its size.
        min_side: minimum length of both sides of the result, in pixels.
        multiple: both sides of the result are rounded to multiples of this number of pixels.

    Returns:
        `(B, 3, h, w)`, float32.
    """
    scale = min(1.0, max_side / max(image.shape[-2:]))
    min_side = -(-min_side // multiple) * multiple
    size = [max(round(side * scale / multiple) * multiple, min_side) for side in image.shape[-2:]]
    return resize_image(image.float(), *size)


def label_map(soft: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Resize the probability map of each label, and return the most probable label of every pixel.

    If labels are equally probable, the first label is chosen. Resized probabilities give smoother borders than resized
    labels. The maps are resized one by one, so that a large photo needs memory for three maps, not for K maps.

    Args:
        soft: probabilities `(1, K, h, w)` of the K labels.
        size: height and width of the result, `(H, W)`.

    Returns:
        Labels 0 to K - 1, `(1, H, W)`, uint8.
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
    """Return, for each label from 0 to `count` - 1, the share of pixels with it: `(count,)`, float64, on the CPU."""
    return torch.bincount(labels.flatten(), minlength=count).cpu().double() / labels.numel()


def merge_smallest(total: torch.Tensor, rest: int) -> torch.Tensor:
    """Choose a new label for each label, so that at most nine labels remain.

    Args:
        total: share of each label, summed over the photos, `(K,)`; 0 for an absent label.
        rest: the label that replaces the smallest labels. If `rest` is absent, the most common label replaces them.

    Returns:
        A table `(K,)`, int64, with the new label for each old label. It keeps the largest labels and absent labels.
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
    """Merge the labels of two label maps, and return their masks.

    Args:
        content: label map of the content, `(1, H, W)`, uint8.
        style: label map of the style, `(1, h, w)`, uint8.
        table: the new label for each old label, `(K,)`, for example from `merge_smallest`.

    Returns:
        First, a pair of one-hot masks, uint8: `(1, L, H, W)` for the content and `(1, L, h, w)` for the style. Second,
        a list of the L labels of the masks, which are all labels that at least one photo has after the merge.
    """
    table = table.to(torch.uint8)
    merged = [table.to(labels.device)[labels.int()] for labels in (content, style)]
    found = shares(merged[0], len(table)) + shares(merged[1], len(table))
    kept = [k for k in range(len(table)) if found[k] > 0]
    # One label at a time: F.one_hot would take eight bytes per pixel and label.
    first, second = (torch.stack([labels == k for k in kept], 1).to(torch.uint8) for labels in merged)
    return (first, second), kept
