"""Random grades: one photo stands for many looks."""

import torch
import torch.nn.functional as F

from lookcast.ops.color import luma


def random_grade(image: torch.Tensor, strength: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Grade each photo of a batch at random: exposure, colour of the light, tone curve, contrast and saturation.

    Far from what a camera does, on purpose: style photos are sunsets, nights and faded prints. In this order: gain of
    each channel, gamma, contrast about the photo's mean, saturation down to grey; then clamped.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        strength: 0 leaves the photos alone; at 1 a gain is up to a factor 2.1, a gamma up to 2.
        generator: where the draws come from; None takes torch's own.

    Returns:
        The same shape, in [0, 1].
    """

    def draw(channels: int, reach: float) -> torch.Tensor:
        """Factors `exp(u)`, u uniform up to the reach, `(B, channels, 1, 1)`."""
        uniform = torch.rand(len(image), channels, 1, 1, generator=generator) * 2 - 1
        return (uniform * reach * strength).exp().to(image)

    graded = image * draw(1, 0.5) * draw(3, 0.25)
    graded = graded.clamp(0, 1) ** draw(1, 0.7)
    mean = graded.mean((1, 2, 3), keepdim=True)
    graded = mean + (graded - mean) * draw(1, 0.4)
    grey = luma(graded)
    # As often paler as stronger, and now and then grey.
    saturation = draw(1, 0.6) * (torch.rand(len(image), 1, 1, 1, generator=generator) > 0.1 * strength).to(image)
    return (grey + (graded - grey) * saturation).clamp(0, 1)


def regional_grade(
    image: torch.Tensor, mask: torch.Tensor, strength: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Two random grades in one photo: some regions take the one, the others the other.

    A style photo whose regions have looks of their own, in known places: what has to be matched region by region.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        mask: `(B, K, h, w)` of any size; the grades meet softly at its borders.
        strength: see `random_grade`.
        generator: where the draws come from; None takes torch's own.

    Returns:
        The same shape as the image, in [0, 1].
    """
    chosen = torch.rand(*mask.shape[:2], 1, 1, generator=generator).to(mask) < 0.5
    where = F.interpolate((mask * chosen).sum(1, keepdim=True), image.shape[-2:], mode="bilinear").clamp(0, 1)
    return torch.lerp(random_grade(image, strength, generator), random_grade(image, strength, generator), where)
