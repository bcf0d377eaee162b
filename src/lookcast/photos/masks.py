"""Read mask files as maps of labels. A mask is an image in nine colours, and each colour stands for a label."""

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from lookcast.ops.masks import PALETTE, check_aspect
from lookcast.ops.regions import MIN_SHARE
from lookcast.photos.photo import PhotoError
from lookcast.photos.read import MAX_PIXELS, read_srgb

MAX_SIDE = 1024
"""Default limit of the longer side of a mask, in pixels. Generators resolve only 64 positions along a side."""
FAR = 48
"""A pixel is far if its distance to the nearest mask colour is larger than this: Euclidean in RGB, in 8-bit levels.

The limit was measured on the pairs of Luan et al., without the pixels at edges between regions. In a mask, at most
2.2 % of the pixels are far, even after resizing or saving as JPEG. In a photo, at least 7.3 % of the pixels are far.
"""
MAX_FAR_SHARE = 0.05
"""Largest share of far pixels in a mask. `read_mask` refuses a file with a larger share."""
_STRIP = 256
"""Number of rows that are compared with the colours at a time, to save memory. Comparing all rows of a 12-megapixel
mask at once would take 430 MB."""

logger = logging.getLogger(__name__)


def read_mask(path: str | Path, size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> torch.Tensor:
    """Read a mask in the nine colours of `ops.masks.PALETTE`; each pixel gets the label of the nearest colour.

    The function counts the pixels that are far from every colour (distance above `FAR`). Pixels at the edge between two
    regions are not counted, because antialiasing mixes colours there. The log states the number of far pixels if their
    share of the mask is at least `MIN_SHARE`. A smaller share does not matter, because a region with a share below
    `MIN_SHARE` counts as absent from a photo.

    Args:
        path: image file, preferably a PNG, because JPEG blurs the edges between regions.
        size: (height, width) of the photo; the mask is resized to this size. None keeps the size of the mask, but
            limits the longer side to `MAX_SIDE`.
        max_pixels: see `read_photo`.

    Returns:
        Labels `(H, W)` as uint8. Label k stands for the k-th colour. A mask with a single label is valid.

    Raises:
        PhotoError: the file can't be read, or more than 5 % of the pixels are far from every colour.
        InputError: the aspect ratio of the mask differs from the aspect ratio of the photo.
    """
    return colors_to_labels(str(path), read_srgb(path, max_pixels), size)


def colors_to_labels(name: str, pixels: npt.NDArray[np.uint8], size: tuple[int, int] | None = None) -> torch.Tensor:
    """Convert the pixels `(H, W, 3)` of a mask in nine colours to labels; see `read_mask`.

    Args:
        name: name of the mask, for messages.
        pixels: sRGB pixels of the mask.
        size: see `read_mask`.
    """
    own = (pixels.shape[0], pixels.shape[1])
    if size is None:
        size = _bounded(own)
    else:
        check_aspect(name, own, size)
    if size != own:
        # Nearest-neighbour sampling, because a mixture of two colours may equal the colour of a third region.
        pixels = np.array(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.NEAREST))
    strips = [_nearest_colors(pixels[top : top + _STRIP]) for top in range(0, len(pixels), _STRIP)]
    _report_far_pixels(name, sum(far for _, far in strips), pixels.shape[0] * pixels.shape[1])
    return torch.cat([labels for labels, _ in strips])


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    """Return `size`, reduced so that the longer side is at most `MAX_SIDE`."""
    short, longest = min(size), max(size)
    if longest <= MAX_SIDE:
        return size
    # The factor gives a short side of whole pixels. Rounding a side of a few pixels would change the aspect ratio.
    factor = max(1, int(short * MAX_SIDE / longest)) / short
    return round(size[0] * factor), round(size[1] * factor)


def _nearest_colors(pixels: npt.NDArray[np.uint8]) -> tuple[torch.Tensor, int]:
    """Return the labels `(H, W)` of pixels `(H, W, 3)`, and the number of far pixels that are not at an edge."""
    colors = torch.tensor([rgb for _, rgb in PALETTE], dtype=torch.float32)
    values = torch.from_numpy(pixels).flatten(0, 1).T.float()
    # |x - c|^2 = |x|^2 - 2 c.x + |c|^2 for pixel x and colour c; float32 represents these integers exactly.
    distances = torch.addmm(colors.square().sum(1, keepdim=True), colors, values, alpha=-2)
    nearest, labels = distances.min(0)
    nearest += values.square().sum(0)
    shape = pixels.shape[:2]
    labels, far = labels.to(torch.uint8).view(shape), (nearest > FAR**2).view(shape)
    return labels, int((far & ~_at_edge(labels, far)).sum()) if far.any() else 0


def _at_edge(labels: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Return a bool map `(H, W)` of edges: pixels with at least two labels in their 5x5 neighbourhood.

    The labels of far pixels are ignored.
    """
    own = labels.float()[None]
    highest = F.max_pool2d(own.masked_fill(far, -1), 5, 1, 2)[0]
    lowest = -F.max_pool2d((-own).masked_fill(far, -len(PALETTE)), 5, 1, 2)[0]
    return highest > lowest


def _report_far_pixels(name: str, far: int, count: int) -> None:
    if far < MIN_SHARE * count:
        return
    line = f"{name}: {far} of {count} pixels ({100 * far / count:.1f} %) are far from each of the nine colours of masks"
    if far > MAX_FAR_SHARE * count:
        raise PhotoError(f"{line}; a mask has at most {100 * MAX_FAR_SHARE:g} % such pixels")
    logger.warning("%s; these pixels get the label of the nearest colour", line)
