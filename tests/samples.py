"""Crops of real photographs and seeded random tensors for the tests."""

import numpy as np
import skimage.data
import torch

CROPS = {
    "astronaut": (slice(300, 340), slice(100, 153)),  # fabric and patches
    "chelsea": (slice(60, 97), slice(100, 131)),  # fur
    "coffee": (slice(200, 233), slice(150, 200)),  # smooth shading and an edge
}


def photo(name: str, whole: bool = False) -> torch.Tensor:
    """Return a photograph of scikit-image, or a crop with unequal sides, `(1, 3, H, W)` in float64."""
    pixels = getattr(skimage.data, name)()
    pixels = pixels if whole else pixels[CROPS[name]]
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].double() / 255


def rand(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return uniform values in [0, 1)."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return standard normal values."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def recolor(image: torch.Tensor) -> torch.Tensor:
    """Apply one affine colour transform to the whole image."""
    transform = torch.tensor([[0.8, 0.3, -0.1], [0.1, 0.7, 0.2], [-0.2, 0.4, 0.6]], dtype=image.dtype)
    offset = torch.tensor([0.1, -0.05, 0.2], dtype=image.dtype).view(1, 3, 1, 1)
    return torch.einsum("ij,bjhw->bihw", transform, image) + offset
