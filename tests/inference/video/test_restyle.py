"""The fused kernel against its three steps."""

import numpy as np
import pytest
import torch

from lookcast.inference.video import restyle as module
from lookcast.inference.video.color import codes_of
from lookcast.inference.video.planes import from_pixels, to_pixels
from lookcast.inference.video.restyle import restyle
from lookcast.ops.bilateral.dispatch import apply_grid_to_pixels
from lookcast.ops.bilateral.reference import identity_grid
from tests.inference.video.test_planes import frame_of, random_planes


@pytest.fixture
def grid():
    generator = torch.Generator().manual_seed(0)
    return identity_grid(1, 8, 16, 16)[0] + 0.1 * torch.randn(12, 8, 16, 16, generator=generator)


class TestRestyle:
    @pytest.mark.parametrize("size", [(130, 96), (37, 51), (1, 1)])
    @pytest.mark.parametrize("layout", ["yuv420p", "yuv422p10le", "gbrp"])
    def test_equals_its_steps(self, grid, layout, size):
        frame = frame_of(layout, size)
        codes, expected = codes_of(frame), random_planes(frame)
        planes = [plane.copy() for plane in expected]
        pixels = apply_grid_to_pixels(grid, torch.from_numpy(to_pixels(expected, codes)))
        from_pixels(pixels.numpy(), expected, codes)
        restyle(planes, codes, grid)
        assert all(np.array_equal(a, b) for a, b in zip(planes, expected, strict=True))

    def test_both_kernels_agree(self, grid, monkeypatch):
        if not module.arrange_cells(grid, 1.0)[1]:
            pytest.skip("this processor has only the kernel for single pixels")
        frame = frame_of("yuv420p10le", (66, 48))
        codes, planes = codes_of(frame), random_planes(frame)
        others = [plane.copy() for plane in planes]
        restyle(planes, codes, grid)
        deep = torch.nn.functional.interpolate(grid[None], (17, 16, 16), mode="nearest")[0]  # more than 16 depths
        assert not module.arrange_cells(deep, 1.0)[1]
        restyle(others, codes, deep)
        reference = random_planes(frame)
        pixels = apply_grid_to_pixels(deep, torch.from_numpy(to_pixels(reference, codes)))
        from_pixels(pixels.numpy(), reference, codes)
        assert all(np.array_equal(a, b) for a, b in zip(others, reference, strict=True))
