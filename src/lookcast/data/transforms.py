"""What happens to a photo before it is trained on or judged."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2


def training_transform(size: int, scale: tuple[float, float], jitter: float) -> v2.Transform:
    """Random crop of `size` px, mirrored half of the time, with a random grade; masks follow by nearest label.

    Args:
        size: side of the crop in pixels.
        scale: smallest and largest share of the photo's area in a crop.
        jitter: strength of the random brightness, contrast and saturation; 0 for none. It makes a few photos stand for
            many exposures.
    """
    steps: list[v2.Transform] = [
        v2.RandomResizedCrop(size, scale=scale, ratio=(3 / 4, 4 / 3), antialias=True),
        v2.RandomHorizontalFlip(),
    ]
    if jitter > 0:
        steps.append(v2.ColorJitter(jitter, jitter, jitter))
    return v2.Compose([*steps, v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)])


MIN_SIDE = 16
"""The encoders' deepest taps need that many pixels."""


def validation_transform(longest: int) -> v2.Transform:
    """The whole photo, at most `longest` px on its longer side, but never under `MIN_SIDE` on the shorter."""
    return v2.Compose([_ShrinkTo(longest), v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)])


class _ShrinkTo(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    def __init__(self, longest: int) -> None:
        super().__init__()
        self.longest = longest

    def forward(self, *inputs: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        return tuple(None if x is None else self._shrink(x) for x in inputs)

    def _shrink(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        factor = min(1.0, max(self.longest / max(height, width), MIN_SIDE / min(height, width)))
        size = [round(d * factor) for d in (height, width)]
        shrunk: torch.Tensor = v2.functional.resize(x, size, antialias=True)
        return shrunk
