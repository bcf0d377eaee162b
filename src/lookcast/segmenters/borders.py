"""Borders of regions: drawn to the edges of the photo."""

import torch
from kornia.filters import guided_blur, joint_bilateral_blur

from lookcast.ops.resize import resize_image
from lookcast.segmenters.label_maps import thumbnail

_GROUND = 64  # maximum side in pixels at which cells of one ground are averaged
_NEAR, _ALIKE = 6.0, 8 / 255  # standard deviations of that average, in pixels of `_GROUND` and in colours
_REACH = 15  # width of its window in pixels
_GUIDE = 512  # maximum side of the guidance image in pixels, for borders exact to 1/512 of the photo; takes 30 ms
_WINDOW, _SUBSAMPLE, _EPS = 33, 4, 1e-3  # a window spans two cells; borders follow edges of more than 8 levels of 255


def align_borders(image: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """Align the borders of soft regions with the edges of a photo.

    A bilateral filter first averages the weights of near pixels with similar colours. Otherwise a sky or a wall is
    divided around an object in front of it, because the receptive fields of the cells there contain the object. A
    guided filter then aligns the regions with the edges of a guidance image, which is the photo, shrunk to 512 px.

    Args:
        image: the photo, `(1, 3, H, W)` in [0, 1].
        soft: weights of the K regions, `(1, K, h, w)` in [0, 1].

    Returns:
        The weights at the size of the guidance image. The guided filter may leave [0, 1] a little.
    """
    small = thumbnail(image, _GROUND)
    soft = joint_bilateral_blur(
        resize_image(soft, *small.shape[-2:]), small, _REACH, _ALIKE, (_NEAR, _NEAR), "replicate", "l2"
    )
    # min_side 32: each side of the subsampled guide is then at least twice the radius of the filter.
    guide = thumbnail(image, _GUIDE, min_side=32)
    return guided_blur(
        guide, resize_image(soft, *guide.shape[-2:]), _WINDOW, _EPS, subsample=_SUBSAMPLE, separable=True
    )
