"""Luma of sRGB-encoded images."""

import torch

from lookcast.checks import check_image

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights of R, G and B for sRGB-encoded values. They suit guides and edges, but not photometry."""


def luma(image: torch.Tensor) -> torch.Tensor:
    """Return the Rec. 601 luma of an image.

    Args:
        image: `(B, 3, H, W)`.

    Returns:
        `(B, 1, H, W)`, in the range of the image.
    """
    check_image("image", image)
    red, green, blue = (image[:, i : i + 1] for i in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
