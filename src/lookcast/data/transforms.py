"""What happens to a photo before it is trained on or judged."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as vision

from lookcast.data.sources.folder import MIN_SIDE


class Window(NamedTuple):
    """A part of a photo, in pixels, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    flip: bool


def draw_window(size: tuple[int, ...], scale: tuple[float, float]) -> Window:
    """A window of random place, area and shape (3:4 to 4:3), mirrored half of the time; draws from torch's generator.

    Args:
        size: (height, width) of the photo.
        scale: smallest and largest share of its area.
    """
    # torchvision asks an image for its size only.
    image = torch.empty(1, *size, device="meta")
    top, left, height, width = RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3])
    return Window(top, left, height, width, flip=bool(torch.rand(()) < 0.5))


def resize_windows(windows: list[torch.Tensor], flips: list[bool], size: int) -> torch.Tensor:
    """Windows of any size to squares, mirrored where asked for, where the windows are.

    Args:
        windows: each `(C, h, w)`, uint8: photos by bilinear interpolation with antialiasing; one channel is labels, by
            the nearest.
        flips: which are to be mirrored.
        size: side in pixels.

    Returns:
        `(B, C, size, size)`: photos float32 in [0, 255], not rounded; labels uint8.
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
    mirrored = torch.tensor(flips, device=squares.device).view(-1, 1, 1, 1)
    return torch.where(mirrored, squares.flip(-1), squares)


def shrink_to(photo: torch.Tensor, max_side: int, labels: bool = False) -> torch.Tensor:
    """A whole photo or its labels, at most `max_side` px on the longer side, but never under `MIN_SIDE` on the shorter.

    Args:
        photo: `(C, H, W)`, uint8.
        max_side: in pixels.
        labels: take the nearest instead of means.
    """
    height, width = photo.shape[-2:]
    factor = min(1.0, max(max_side / max(height, width), MIN_SIDE / min(height, width)))
    size = [round(d * factor) for d in (height, width)]
    mode = vision.InterpolationMode.NEAREST_EXACT if labels else vision.InterpolationMode.BILINEAR
    shrunk: torch.Tensor = vision.resize(photo, size, mode, antialias=True)
    return shrunk
