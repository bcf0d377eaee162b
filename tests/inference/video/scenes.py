"""Clips of thumbnails, made from photos by known camera motion."""

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F

from lookcast.inference.video.motion import Motion

PHOTOS = {name: getattr(skimage.data, name) for name in ("astronaut", "coffee", "chelsea", "rocket")}
SIDE = 64


def photo(name):
    """Return a photo `(1, 3, H, W)` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(PHOTOS[name]())).permute(2, 0, 1)[None].float() / 255


def view(image, motion, side=SIDE):
    """Return the thumbnail `(1, 3, side, side)` that a camera with the given pose sees; (0, 0, .5) is the middle."""
    places = motion.positions(4 * side, 4 * side)[None]
    seen = F.grid_sample(image, places, mode="bicubic", align_corners=False, padding_mode="border")
    return F.avg_pool2d(seen, 4).clamp(0, 1)


def pan(name, count, step=0.01, zoom=0.5):
    """Return the frames of a camera that moves to the right by `step`, in half widths of the photo."""
    image = photo(name)
    return [view(image, Motion(step * (number - count / 2), 0, zoom)) for number in range(count)]


def with_noise(frames, sigma=0.01, seed=0):
    made = torch.Generator().manual_seed(seed)
    return [(frame + sigma * torch.randn(frame.shape, generator=made)).clamp(0, 1) for frame in frames]
