"""Records that several packages share. Each is a NamedTuple, a type that collation and device transfer preserve."""

from typing import Any, NamedTuple

import torch

Features = dict[str, torch.Tensor]
"""A dict from the name of each tap to its feature map `(B, C, H // stride, W // stride)`, from shallow to deep."""


class PhotoBatch(NamedTuple):
    """A batch of photos for training.

    Attributes:
        content: content photos `(B, 3, H, W)`, sRGB in [0, 1].
        content_mask: semantic masks of the contents, `(B, K, H, W)` in [0, 1], one channel for each of K labels. At a
            labelled pixel, the K values sum to 1. None without masks.
        style: style photos `(B, 3, H', W')`, one for each content; None if all contents share a fixed style.
        style_mask: masks of the style photos `(B, K, H', W')`; None without masks.
        skipped: unreadable files that were left out of this batch, each as `path: reason`.
        seed: seed of the random draws of a training step. All processes of a distributed run have the same seed.
        seeds: seeds of the random draws of each photo, B integers.
        ungraded: content photos before their random colour grades, `(B, 3, H, W)`. They are present only if a pair of
            the batch holds two windows of one photo and the styles are not graded yet; else None.
        same_photo: for each pair, True if content and style are two windows of one photo.
    """

    content: torch.Tensor
    content_mask: torch.Tensor | None = None
    style: torch.Tensor | None = None
    style_mask: torch.Tensor | None = None
    skipped: tuple[str, ...] = ()
    seed: int = 0
    seeds: tuple[int, ...] = ()
    ungraded: torch.Tensor | None = None
    same_photo: tuple[bool, ...] = ()


class StyleInput(NamedTuple):
    """A style photo with its mask and weight.

    Attributes:
        photo: image of any type that `Stylizer.stylize` accepts.
        mask: mask of the photo in any form that `Stylizer.stylize` accepts; None without masks.
        weight: positive weight in a mix of several styles. The weights may have any sum.
    """

    photo: Any
    mask: Any = None
    weight: float = 1.0


class Stylization(NamedTuple):
    """The output of a generator.

    Attributes:
        image: stylized image `(B, 3, H, W)`, sRGB, not clamped, so that losses can penalise values outside [0, 1].
        grid: bilateral grid `(B, 12, D, GH, GW)`: an affine colour transform (12 numbers) for each of GW x GH cells in
            the image plane and D levels of depth. None if the generator predicts pixels.
    """

    image: torch.Tensor
    grid: torch.Tensor | None = None


class LossTerms(NamedTuple):
    """The unweighted terms of the loss and their weighted sum, all scalars.

    Attributes:
        total: weighted sum of the terms. Only `total` has a gradient.
        content: distance between the features of the output and the content.
        style: distance between the segmented Gram matrices of the output and the style.
        color: sliced Wasserstein distance between the colours of the output and the style, in CIELAB units.
        photorealism: deviation of the output from a recolouring of the content that is affine in each small window.
        smoothness: differences between neighbouring cells of the bilateral grid.
        variation: total variation of the output.
        gamut: distance of the output values from [0, 1].
        truth: distance of the output from the photo that it should equal, for pairs where this photo is known.
        flatness: structure in the output where the content is flat, such as stripes in a clear sky.
    """

    total: torch.Tensor
    content: torch.Tensor
    style: torch.Tensor
    color: torch.Tensor
    photorealism: torch.Tensor
    smoothness: torch.Tensor
    variation: torch.Tensor
    gamut: torch.Tensor
    truth: torch.Tensor
    flatness: torch.Tensor
