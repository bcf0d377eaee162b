"""Rough masks for training. As in masks that people paint, their borders miss the edges of objects by a few pixels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lookcast.ops.masks import blur_mask

MAX_SHIFT = 3
"""Maximum shift of a mask or of a border, in pixels of a mask `(B, K, 64, 64)`: 5 % of the mask's width."""


def roughen(mask: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Displace the borders of the masks in a batch at random, each mask in its own way.

    One of five cases is drawn for each mask, with equal probabilities: the mask stays unchanged, one label grows over
    the others, the whole mask shifts, its borders are blurred, or its resolution falls to a quarter.

    Args:
        mask: `(B, K, H, W)`. The K values of a pixel sum to 1.
        generators: one random number generator for each mask.

    Returns:
        `(B, K, H, W)`. The K values of a pixel sum to 1.
    """
    return torch.cat([_rough(one, draw) for one, draw in zip(torch.split(mask, 1), generators, strict=True)])


def _rough(mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    case = int(torch.randint(5, (), generator=generator))
    distance = int(torch.randint(1, MAX_SHIFT + 1, (), generator=generator))
    size = 2 * distance + 1
    if case == 1:  # one label grows over the others
        grown = int(torch.randint(mask.shape[1], (), generator=generator))
        area = F.max_pool2d(mask[:, grown : grown + 1], size, 1, distance)
        rest = mask.clone()
        rest[:, grown] = 0
        rest = rest * ((1 - area) / rest.sum(1, keepdim=True).clamp_min(1e-6))
        rest[:, grown] = 1 - rest.sum(1)
        return rest
    if case == 2:
        down, right = torch.randint(-distance, distance + 1, (2,), generator=generator).tolist()
        padded = F.pad(mask, (MAX_SHIFT,) * 4, mode="replicate")
        height, width = mask.shape[-2:]
        return padded[..., MAX_SHIFT + down :, MAX_SHIFT + right :][..., :height, :width]
    if case == 3:
        return blur_mask(mask, distance)
    if case == 4:
        return F.interpolate(F.avg_pool2d(mask, 4), mask.shape[-2:], mode="nearest")
    return mask
