"""Smoothing of an output towards a locally affine recolouring of its content, as a field of affine maps."""

import torch
import torch.nn.functional as F
from kornia.filters import joint_bilateral_blur

from lookcast.checks import InputError, check_image_pair, check_integer
from lookcast.ops.local_affine import WINDOW, window_models
from lookcast.ops.precision import full_type, no_autocast


def smooth_local_affine(
    content: torch.Tensor, output: torch.Tensor, radius: int = 15, edge: float = 0.01, eps: float = 1e-4
) -> torch.Tensor:
    """Return affine maps that make a smoothed output of the content, one map for each pixel.

    The affine map from content to output is fitted in each 3x3 window, as in the matting energy. A joint bilateral
    filter then averages the maps around each pixel, with the weights
    `exp(-|x_i - x_j|^2 / (2 (radius / 3)^2)) exp(-|I_i - I_j|^2 / (2 edge^2))`. So a pixel takes the mean map of near
    pixels with similar colours, and noise that is not in the content disappears. The function differs from two others:

    * A guided filter (`kornia.filters.guided_blur`) fits the maps in windows of the size in which it averages them, and
      all maps of a window have the same weight. It blurs the look over edges between areas of different colours.
    * The code of Luan et al. cuts windows at the border of the photo. Here, a border pixel takes the map of the nearest
      window that lies inside.

    Args:
        content: I, `(B, 3, H, W)` in [0, 1], at least 3 px per side.
        output: `(B, 3, H, W)`.
        radius: radius of the filter in pixels, at least 1.
        edge: standard deviation of the filter in colours.
        eps: weight of |A|^2 in the fit of a window. With the 1e-7 of the matting energy, the maps of flat windows have
            large entries, which amplify the grain of a larger photo to which they are applied.

    Returns:
        `(B, 12, H, W)`: the 3x4 matrices (A, b), row-major. The smoothed output is `A I + b` at each pixel
            (`bilateral.reference.apply_affine`).

    Raises:
        ShapeError: the shapes differ, or the image is smaller than a window.
        InputError: a number is out of range.

    Reference:
        Luan et al. 2017, the last step of the authors' code, which uses radius 15 and edge .01.
    """
    check_image_pair("content", content, "output", output, WINDOW)
    check_integer("radius", radius, 1, 1000)
    for name, value in (("edge", edge), ("eps", eps)):
        if not value > 0:
            raise InputError(f"{name}: expected a positive number, got {value:g}")
    dtype = full_type(content, output)
    content, output = content.to(dtype), output.to(dtype)
    with torch.no_grad(), no_autocast(content):
        models = F.pad(window_models(content, output, eps), (1, 1, 1, 1), mode="replicate")
        size, spread = 2 * radius + 1, radius / 3
        smoothed: torch.Tensor = joint_bilateral_blur(models, content, size, edge, (spread, spread), "replicate", "l2")
    return smoothed
