"""The records that travel between the rooms of the house. NamedTuples: they survive collation and device transfer."""

from typing import NamedTuple

import torch

Features = dict[str, torch.Tensor]
"""Feature maps by tap name, shallow to deep, each `(B, C, H / stride, W / stride)`."""


class PhotoBatch(NamedTuple):
    """Photos to train on.

    Attributes:
        content: `(B, 3, H, W)`, sRGB in [0, 1].
        content_mask: `(B, K, H, W)` in [0, 1], sums to 1 over K where a pixel is labelled; None without masks.
        style: `(B, 3, H', W')`, the style photo of each; None where one photo is the style of all.
        style_mask: `(B, K, H', W')`.
        skipped: files that could not be read and were left out in the making of this batch, `path: reason`.
        seed: for what a step draws; the same in all processes that train together.
        seeds: for what is drawn for each photo, B of them.
    """

    content: torch.Tensor
    content_mask: torch.Tensor | None = None
    style: torch.Tensor | None = None
    style_mask: torch.Tensor | None = None
    skipped: tuple[str, ...] = ()
    seed: int = 0
    seeds: tuple[int, ...] = ()


class Stylization(NamedTuple):
    """What a generator gives.

    Attributes:
        image: `(B, 3, H, W)`, sRGB; not clamped, so that a loss still sees what lies outside [0, 1].
        grid: `(B, 12, D, GH, GW)`, None from a generator that paints pixels directly.
    """

    image: torch.Tensor
    grid: torch.Tensor | None = None


class LossTerms(NamedTuple):
    """Each term of the loss before its weight, and their weighted sum; scalars.

    Attributes:
        total: the weighted sum, the only one that carries a gradient.
        content: distance of output and content features.
        style: segmented Gram distance of output and style.
        color: sliced Wasserstein distance of output and style, in CIELAB units.
        photorealism: what no locally affine map of the content explains.
        smoothness: differences between neighbouring cells of the grid.
        variation: total variation of the output.
        gamut: how far the output leaves [0, 1].
    """

    total: torch.Tensor
    content: torch.Tensor
    style: torch.Tensor
    color: torch.Tensor
    photorealism: torch.Tensor
    smoothness: torch.Tensor
    variation: torch.Tensor
    gamut: torch.Tensor
