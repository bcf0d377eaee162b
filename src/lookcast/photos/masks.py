"""Mask files in the nine colours, read as labels."""

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
"""Longer side at which masks are read by default; generators distinguish 64 places along a side."""
FAR = 48
"""Distance in RGB, in 8-bit levels, from which a colour is far from the nearest of the nine. Measured on the pairs of
Luan et al., edges left out: at most 2.2 % of a mask is far (resized or as JPEG), and at least 7.3 % of a photo."""
MAX_FAR_SHARE = 0.05
"""A file with a larger share of far pixels is no mask."""
_STRIP = 256
"""Rows that are compared with the colours at a time: 12 megapixels at once would take 430 MB."""

logger = logging.getLogger(__name__)


def read_mask(path: str | Path, size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> torch.Tensor:
    """Read a mask in the nine colours of `ops.masks.PALETTE`; each pixel gets the label of the nearest colour.

    Pixels far from every colour are counted, except at the edge between two regions, where antialiasing mixes colours.
    The log states the number from a share of `MIN_SHARE` on; a smaller share counts as absent from a photo anyway.

    Args:
        path: an image file, preferably a PNG: JPEG blurs the edges between regions.
        size: (height, width) of the photo it belongs to; None keeps the mask's own size, up to 1024 on the longer side.
        max_pixels: as in `read_photo`.

    Returns:
        uint8 labels `(H, W)`; label k stands for the k-th colour. A mask of one label is valid.

    Raises:
        PhotoError: the file can't be read, or more than 5 % of its pixels are far from every colour.
        InputError: the aspect ratio is not the photo's.
    """
    pixels = read_srgb(path, max_pixels)
    own = (pixels.shape[0], pixels.shape[1])
    if size is None:
        size = _bounded(own)
    else:
        check_aspect(str(path), own, size)
    if size != own:
        # Nearest: a mixture of two colours may be the colour of a third region.
        pixels = np.array(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.NEAREST))
    strips = [_nearest_colors(pixels[top : top + _STRIP]) for top in range(0, len(pixels), _STRIP)]
    _report_far_pixels(path, sum(far for _, far in strips), pixels.shape[0] * pixels.shape[1])
    return torch.cat([labels for labels, _ in strips])


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    """Return `size` shrunk to `MAX_SIDE` on the longer side."""
    short, longest = min(size), max(size)
    if longest <= MAX_SIDE:
        return size
    # Exact along the short side: half a pixel of a few would be another aspect ratio.
    factor = max(1, int(short * MAX_SIDE / longest)) / short
    return round(size[0] * factor), round(size[1] * factor)


def _nearest_colors(pixels: npt.NDArray[np.uint8]) -> tuple[torch.Tensor, int]:
    """Return the labels `(H, W)` of pixels `(H, W, 3)`, and the number of far pixels that are no edge."""
    colors = torch.tensor([rgb for _, rgb in PALETTE], dtype=torch.float32)
    values = torch.from_numpy(pixels).flatten(0, 1).T.float()
    # |x - c|^2 = |x|^2 - 2 c.x + |c|^2; float32 holds all of these integers exactly.
    distances = torch.addmm(colors.square().sum(1, keepdim=True), colors, values, alpha=-2)
    nearest, labels = distances.min(0)
    nearest += values.square().sum(0)
    shape = pixels.shape[:2]
    labels, far = labels.to(torch.uint8).view(shape), (nearest > FAR**2).view(shape)
    return labels, int((far & ~_at_edge(labels, far)).sum()) if far.any() else 0


def _at_edge(labels: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Return where the pixels of the 5x5 neighbourhood that are not far have at least two labels."""
    own = labels.float()[None]
    highest = F.max_pool2d(own.masked_fill(far, -1), 5, 1, 2)[0]
    lowest = -F.max_pool2d((-own).masked_fill(far, -len(PALETTE)), 5, 1, 2)[0]
    return highest > lowest


def _report_far_pixels(path: str | Path, far: int, count: int) -> None:
    if far < MIN_SHARE * count:
        return
    line = f"{path}: {far} of {count} pixels ({100 * far / count:.1f} %) are far from each of the nine colours of masks"
    if far > MAX_FAR_SHARE * count:
        raise PhotoError(f"{line}; a mask has at most {100 * MAX_FAR_SHARE:g} % of them")
    logger.warning("%s; they take the nearest", line)
