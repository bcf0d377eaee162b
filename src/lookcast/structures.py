"""Records that several packages share. They are NamedTuples, which survive collation and device transfer."""

from typing import Any, NamedTuple

import torch

Features = dict[str, torch.Tensor]
"""Feature maps by tap name, shallow to deep, each `(B, C, H / stride, W / stride)`."""


class PhotoBatch(NamedTuple):
    """A batch of photos for training.

    Attributes:
        content: `(B, 3, H, W)`, sRGB in [0, 1].
        content_mask: `(B, K, H, W)` in [0, 1], sums to 1 over K at labelled pixels; None without masks.
        style: `(B, 3, H', W')`, a style photo for each content; None if one photo is the style of all.
        style_mask: `(B, K, H', W')`; None without masks.
        skipped: unreadable files that were left out of this batch, `path: reason`.
        seed: seed of the random draws of a step; the same in all processes that train together.
        seeds: B seeds, one for the random draws of each photo.
    """

    content: torch.Tensor
    content_mask: torch.Tensor | None = None
    style: torch.Tensor | None = None
    style_mask: torch.Tensor | None = None
    skipped: tuple[str, ...] = ()
    seed: int = 0
    seeds: tuple[int, ...] = ()


class StyleInput(NamedTuple):
    """A style photo and what belongs to it.

    Attributes:
        photo: an image of any kind that `Stylizer.stylize` takes.
        mask: its regions: uint8 labels `(H, W)`, or `(1, K, h, w)` in [0, 1]; None without masks.
        weight: its share in the mix of several styles, positive; the shares may have any sum.
    """

    photo: Any
    mask: torch.Tensor | None = None
    weight: float = 1.0


class Stylization(NamedTuple):
    """The output of a generator.

    Attributes:
        image: `(B, 3, H, W)`, sRGB; not clamped, so that a loss sees values outside [0, 1].
        grid: `(B, 12, D, GH, GW)`; None from a generator that predicts pixels.
    """

    image: torch.Tensor
    grid: torch.Tensor | None = None


class LossTerms(NamedTuple):
    """The terms of the loss before their weights, and the weighted sum; scalars.

    Attributes:
        total: the weighted sum; only it has a gradient.
        content: distance of output and content features.
        style: segmented Gram distance of output and style.
        color: sliced Wasserstein distance of output and style, in CIELAB units.
        photorealism: the part of the output that no locally affine map of the content explains.
        smoothness: differences between neighbouring cells of the grid.
        variation: total variation of the output.
        gamut: distance of the output to [0, 1].
    """

    total: torch.Tensor
    content: torch.Tensor
    style: torch.Tensor
    color: torch.Tensor
    photorealism: torch.Tensor
    smoothness: torch.Tensor
    variation: torch.Tensor
    gamut: torch.Tensor
