"""Random grades: one photo stands for many looks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lookcast.ops.color import luma

Generators = Sequence[torch.Generator]
"""One for each photo of a batch, so that a photo's draws do not depend on which others are in the batch."""


def generators_of(seeds: Sequence[int]) -> list[torch.Generator]:
    """Where the draws for each photo come from."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def random_grade(image: torch.Tensor, strength: float, generators: Generators) -> torch.Tensor:
    """Grade each photo of a batch at random: exposure, colour of the light, tone curve, contrast and saturation.

    Far from what a camera does, on purpose: style photos are sunsets, nights and faded prints. In this order: gain of
    each channel, gamma, contrast about the photo's mean, saturation down to grey; then clamped.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        strength: 0 leaves the photos alone; at 1 a gain is up to a factor 2.1, a gamma up to 2.
        generators: of each photo.

    Returns:
        The same shape, in [0, 1].
    """

    def draw(channels: int, reach: float) -> torch.Tensor:
        """Factors `exp(u)`, u uniform up to the reach, `(B, channels, 1, 1)`."""
        return ((uniform(generators, channels) * 2 - 1) * reach * strength).exp().to(image)[..., None, None]

    graded = image * draw(1, 0.5) * draw(3, 0.25)
    graded = graded.clamp(0, 1) ** draw(1, 0.7)
    mean = graded.mean((1, 2, 3), keepdim=True)
    graded = mean + (graded - mean) * draw(1, 0.4)
    grey = luma(graded)
    # As often paler as stronger, and now and then grey.
    colored = (uniform(generators, 1) > 0.1 * strength).to(image)[..., None, None]
    return (grey + (graded - grey) * draw(1, 0.6) * colored).clamp(0, 1)


def grade_some(image: torch.Tensor, strength: float, share: float, seeds: Sequence[int]) -> torch.Tensor:
    """Grade a share of the photos, the others stay as they are.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        strength: see `random_grade`; 0 draws nothing.
        share: how many are graded.
        seeds: of each photo.
    """
    if strength == 0:
        return image
    generators = generators_of(seeds)
    chosen = (uniform(generators, 1) < share).to(image.device)[..., None, None]
    return torch.where(chosen, random_grade(image, strength, generators), image)


def regional_grade(image: torch.Tensor, mask: torch.Tensor, strength: float, generators: Generators) -> torch.Tensor:
    """Two random grades in one photo: some regions take the one, the others the other.

    A style photo whose regions have looks of their own, in known places: what has to be matched region by region.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        mask: `(B, K, h, w)` of any size; the grades meet softly at its borders.
        strength: see `random_grade`.
        generators: of each photo.

    Returns:
        The same shape as the image, in [0, 1].
    """
    chosen = (uniform(generators, mask.shape[1]) < 0.5).to(mask)[..., None, None]
    where = F.interpolate((mask * chosen).sum(1, keepdim=True), image.shape[-2:], mode="bilinear").clamp(0, 1)
    return torch.lerp(random_grade(image, strength, generators), random_grade(image, strength, generators), where)


def uniform(generators: Generators, number: int) -> torch.Tensor:
    """Draws in [0, 1) for each photo, `(B, number)`, on the CPU."""
    return torch.stack([torch.rand(number, generator=generator) for generator in generators])
