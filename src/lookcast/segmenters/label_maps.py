"""From a photo to the thumbnail that is segmented, and from soft maps back to the masks of the photo."""

import torch
import torch.nn.functional as F

from lookcast.checks import check_shape
from lookcast.ops.masks import NUM_LABELS


def thumbnail(image: torch.Tensor, max_side: int, least: int = 16, multiple: int = 1) -> torch.Tensor:
    """Shrink a photo to what a network looks at; antialiased, in float32.

    Keeps the aspect ratio up to rounding, unless a side would fall below `least`: a thin photo is stretched and a small
    one enlarged, because networks can't read less.

    Args:
        image: `(B, 3, H, W)`.
        max_side: of the result's long side, in pixels; a smaller photo keeps its size.
        least: of both sides.
        multiple: of both sides.

    Returns:
        `(B, 3, h, w)`.
    """
    scale = min(1.0, max_side / max(image.shape[-2:]))
    least = -(-least // multiple) * multiple
    size = [max(round(side * scale / multiple) * multiple, least) for side in image.shape[-2:]]
    return F.interpolate(image.float(), size, mode="bilinear", antialias=True)


def label_map(soft: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Enlarge soft maps and take the greatest at every pixel: smooth borders, where enlarged labels would be blocks.

    One label after the other, so that a large photo takes three planes and not one for each label. The first of equals
    wins.

    Args:
        soft: `(1, K, h, w)`.
        size: `(H, W)`.

    Returns:
        `(1, H, W)`, 0 to K - 1, uint8.
    """
    check_shape("soft", soft, (1, "K", "h", "w"))
    planes = (
        F.interpolate(soft[:, k : k + 1], tuple(size), mode="bilinear", antialias=True) for k in range(len(soft[0]))
    )
    best = next(planes)
    labels = torch.zeros_like(best, dtype=torch.uint8)
    for k, plane in enumerate(planes, start=1):
        labels[plane > best] = k
        best = torch.maximum(best, plane)
    return labels[:, 0]


def shares(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Share of the pixels that have each label 0 to `count` - 1, `(count,)` in float64 on the CPU."""
    return torch.bincount(labels.flatten(), minlength=count).cpu().double() / labels.numel()


def merge_smallest(total: torch.Tensor, rest: int) -> torch.Tensor:
    """Which label each label becomes, so that at most nine are left.

    Args:
        total: share of each label, `(K,)`; 0 where it is absent.
        rest: the label that takes the smallest ones in; where it is absent, the most common one does.

    Returns:
        `(K,)`, int64; labels that stay, and absent ones, are their own.
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
    """Masks of two label maps after merging.

    Args:
        content: `(1, H, W)`, uint8.
        style: `(1, h, w)`, uint8.
        table: which label each label becomes, `(K,)`.

    Returns:
        The masks, one-hot uint8, `(1, k, H, W)` and `(1, k, h, w)`, and the k labels that one of the photos has.
    """
    table = table.to(torch.uint8)
    merged = [table.to(labels.device)[labels.int()] for labels in (content, style)]
    found = shares(merged[0], len(table)) + shares(merged[1], len(table))
    kept = [k for k in range(len(table)) if found[k] > 0]
    # Compared plane by plane: F.one_hot would take eight bytes a pixel and label.
    first, second = (torch.stack([labels == k for k in kept], 1).to(torch.uint8) for labels in merged)
    return (first, second), kept
