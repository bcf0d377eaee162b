"""Transforms of training photos: random windows, resizing, random grades."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
)
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as vision

from lookcast.data.sources.folder import MIN_SIDE
from lookcast.ops.color import luma

_SLIDERS = (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_saturation_with_gray_subtraction,
    adjust_hue,  # by an angle in radians
)

Generators = Sequence[torch.Generator]
"""One random generator for each photo of a batch, so that the draws for a photo do not depend on the other photos."""


class Window(NamedTuple):
    """A rectangle of a photo in pixels; `flip` is True to mirror the window horizontally."""

    top: int
    left: int
    height: int
    width: int
    flip: bool


def draw_window(size: tuple[int, ...], scale: tuple[float, float], part: tuple[float, float] = (0.0, 1.0)) -> Window:
    """Draw a window of random position, area and aspect ratio (3:4 to 4:3), mirrored with probability 1/2.

    The draws use torch's global generator.

    Args:
        size: (height, width) of the photo.
        scale: smallest and largest area of the window, as a share of the area of `part`.
        part: section of the photo that holds the window: start and end along the longer side; (0, 1) is the full photo.
    """
    height, width = size
    start, stop = (round(end * max(size)) for end in part)
    rows, columns = ((start, stop), (0, width)) if height > width else ((0, height), (start, stop))
    # torchvision reads only the size of the image, so the image needs no memory.
    image = torch.empty(1, rows[1] - rows[0], columns[1] - columns[0], device="meta")
    top, left, height, width = RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3])
    return Window(top + rows[0], left + columns[0], height, width, flip=bool(torch.rand(()) < 0.5))


def draw_parts() -> tuple[tuple[float, float], tuple[float, float]]:
    """Draw two parts of a photo, for a content window and a style window, with torch's global generator.

    A random cut across the longer side divides the photo. The parts lie on either side of the cut, in random order.
    Each part extends over the cut by up to .15 of the longer side, so the parts overlap by at most .3 of it.
    """
    cut, margin, swap = torch.rand(3).tolist()
    cut, margin = 0.35 + 0.3 * cut, 0.15 * margin
    first, second = (0.0, cut + margin), (cut - margin, 1.0)
    return (second, first) if swap < 0.5 else (first, second)


def resize_windows(windows: list[torch.Tensor], flips: list[bool], size: int) -> torch.Tensor:
    """Resize windows of any size to squares of one size, and mirror some of the squares.

    The squares are computed on the device of the windows.

    Args:
        windows: tensors `(C, h, w)`, uint8, either all of photos or all of labels. Photos have three channels, and are
            resized bilinearly with antialiasing. Labels have one channel, and each pixel takes the nearest label.
        flips: one flag for each window; True mirrors the window horizontally.
        size: side of the squares in pixels.

    Returns:
        `(B, C, size, size)`. Photos are float32 in [0, 255], not rounded; labels are uint8.
    """
    resized = []
    for window in windows:
        if window.shape[0] == 1:
            resized.append(F.interpolate(window[None], (size, size), mode="nearest-exact"))
        else:
            resized.append(
                F.interpolate(window[None].float(), (size, size), mode="bilinear", antialias=True).clamp(0, 255)
            )
    squares = torch.cat(resized)
    mirrored = upload(torch.tensor(flips), squares.device).view(-1, 1, 1, 1)
    return torch.where(mirrored, squares.flip(-1), squares)


def shrink_to(photo: torch.Tensor, max_side: int, labels: bool = False) -> torch.Tensor:
    """Shrink a photo or labels to at most `max_side` px on the longer side.

    The shorter side is not shrunk below `MIN_SIDE` px, so the longer side of a very narrow photo may exceed `max_side`.

    Args:
        photo: `(C, H, W)`, uint8.
        max_side: maximum length of the longer side in pixels.
        labels: False for a photo, whose pixels are averaged; True for labels, where each pixel takes the nearest label.
    """
    height, width = photo.shape[-2:]
    factor = min(1.0, max(max_side / max(height, width), MIN_SIDE / min(height, width)))
    size = [round(d * factor) for d in (height, width)]
    mode = vision.InterpolationMode.NEAREST_EXACT if labels else vision.InterpolationMode.BILINEAR
    shrunk: torch.Tensor = vision.resize(photo, size, mode, antialias=True)
    return shrunk


def generators_of(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return one random generator for each seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def random_grade(image: torch.Tensor, strength: float, generators: Generators) -> torch.Tensor:
    """Grade each photo at random: exposure, colour of the light, tone curve, contrast and saturation.

    The grades are stronger than the differences between cameras, because style photos include sunsets, night scenes and
    faded prints. The steps in order are: gain per channel, gamma, contrast about the photo's mean, and saturation,
    which may become zero. The result is clamped to [0, 1].

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        strength: 0 leaves the photos unchanged; at 1, gains reach 2.1 and gammas reach 2.
        generators: one random generator for each photo.

    Returns:
        `(B, 3, H, W)` in [0, 1].
    """

    def draw(channels: int, limit: float) -> torch.Tensor:
        """Draw factors `exp(u)`, u uniform in `[-limit, limit] * strength`; return `(B, channels, 1, 1)`."""
        factors = ((uniform(generators, channels) * 2 - 1) * limit * strength).exp()
        return upload(factors, image.device, image.dtype)[..., None, None]

    graded = image * draw(1, 0.5) * draw(3, 0.25)
    graded = graded.clamp(0, 1) ** draw(1, 0.7)
    mean = graded.mean((1, 2, 3), keepdim=True)
    graded = mean + (graded - mean) * draw(1, 0.4)
    grey = luma(graded)
    # At strength 1, a tenth of the photos becomes grey.
    colored = upload(uniform(generators, 1) > 0.1 * strength, image.device, image.dtype)[..., None, None]
    return (grey + (graded - grey) * draw(1, 0.6) * colored).clamp(0, 1)


def slider_grade(image: torch.Tensor, strength: float, generators: Generators) -> torch.Tensor:
    """Grade each photo like the sliders of a photo editor: brightness, contrast, saturation and hue.

    The four steps have a random order for each photo. The result of each step is clamped to [0, 1].

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        strength: 0 leaves the photos unchanged; at 1, factors are .6 to 1.4, and hues rotate by up to .05 turns.
        generators: one random generator for each photo.

    Returns:
        `(B, 3, H, W)` in [0, 1].
    """
    amounts = torch.stack([torch.rand(4, generator=generator) for generator in generators]) * 2 - 1
    orders = torch.stack([torch.randperm(4, generator=generator) for generator in generators])
    amounts = upload(amounts * strength * torch.tensor([0.4, 0.4, 0.4, 0.1 * math.pi]), image.device, image.dtype)
    # All photos with the same step in a turn are graded at once, because a GPU needs many pixels in each operation.
    chosen = [(orders[:, turn] == number).nonzero()[:, 0] for turn in range(4) for number in range(4)]
    on_device = torch.split(upload(torch.cat(chosen), image.device), [len(photos) for photos in chosen])
    graded = image.clone()
    for place, photos in enumerate(on_device):
        number = place % 4
        amount = amounts[photos, number]
        graded[photos] = _SLIDERS[number](graded[photos], amount if number == 3 else (1 + amount).clamp_min(0))
    return graded


def grade_some(image: torch.Tensor, strength: float, share: float, seeds: Sequence[int]) -> torch.Tensor:
    """Grade a random share of the photos and leave the others unchanged.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        strength: see `random_grade`; 0 returns the photos unchanged.
        share: probability that a photo is graded.
        seeds: one seed for each photo.
    """
    if strength == 0:
        return image
    generators = generators_of(seeds)
    chosen = upload(uniform(generators, 1) < share, image.device)[..., None, None]
    return torch.where(chosen, random_grade(image, strength, generators), image)


def regional_grade(image: torch.Tensor, mask: torch.Tensor, strength: float, generators: Generators) -> torch.Tensor:
    """Draw two random grades for each photo, and apply one of the two grades to each region.

    The result serves as a style photo whose regions have different looks. A network can reproduce
    these looks only if it matches each region of the content with the same region of the style.

    Args:
        image: `(B, 3, H, W)` in [0, 1].
        mask: `(B, K, h, w)`: K regions for each photo; h and w may be any size. The two grades blend at region borders.
        strength: see `random_grade`.
        generators: one random generator for each photo.

    Returns:
        `(B, 3, H, W)` in [0, 1].
    """
    chosen = upload(uniform(generators, mask.shape[1]) < 0.5, mask.device, mask.dtype)[..., None, None]
    where = F.interpolate((mask * chosen).sum(1, keepdim=True), image.shape[-2:], mode="bilinear").clamp(0, 1)
    return torch.lerp(random_grade(image, strength, generators), random_grade(image, strength, generators), where)


def upload(values: torch.Tensor, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Copy values from the CPU to a device. The copy does not wait for a GPU, as a plain `to` would."""
    return values.to(device, dtype, non_blocking=device.type == "cuda")


def uniform(generators: Generators, number: int) -> torch.Tensor:
    """Draw `number` values in [0, 1) for each photo; return `(B, number)` on the CPU, with a row for each photo."""
    return torch.stack([torch.rand(number, generator=generator) for generator in generators])
