"""The fused kernel against its three steps in float64."""

import numpy as np
import pytest
import torch

from lookcast.inference.video.color import codes_of
from lookcast.inference.video.restyle import restyle
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from tests.inference.video.test_planes import frame_of, random_planes, reference_codes, reference_pixels


def some_grid(depth=8, height=16, width=16):
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(12, depth, height, width, generator=generator)
    return identity_grid(1, depth, height, width)[0] + noise


def any_planes(frame):
    """Planes with codes from the whole range, of which many have no colour inside the gamut."""
    rng, codes = np.random.default_rng(0), codes_of(frame)
    kind = np.uint8 if codes.maximum < 256 else np.uint16
    return [rng.integers(0, codes.maximum + 1, (plane.height, plane.width)).astype(kind) for plane in frame.planes]


def reference(planes, codes, grid):
    """Return the three planes in float64, clamped and not rounded."""
    image = torch.from_numpy(reference_pixels(planes, codes).clip(0, 1)).permute(2, 0, 1)[None]
    pixels = apply_grid(grid[None].double(), image).clamp(0, 1)[0].permute(1, 2, 0).numpy()
    return [plane.clip(0, codes.maximum) for plane in reference_codes(pixels, planes, codes)]


class TestRestyle:
    @pytest.mark.parametrize("planes_of", [random_planes, any_planes])
    @pytest.mark.parametrize("size", [(130, 96), (37, 51), (5, 7), (1, 1)])
    @pytest.mark.parametrize(
        ("layout", "color_range"),
        [("yuv420p", 1), ("yuv420p10le", 2), ("yuv422p10le", 1), ("yuv411p", 1), ("yuv444p", 2), ("gbrp", 2)],
    )
    def test_matches_reference(self, layout, color_range, size, planes_of):
        self._check(frame_of(layout, size, color_range=color_range), some_grid(), planes_of)

    @pytest.mark.parametrize("grid", [(1, 1, 1), (2, 1, 3), (5, 40, 90), (16, 3, 2), (20, 4, 4)])
    def test_any_grid(self, grid):
        """Grids with more depths than a vector has lanes take the kernel for single pixels."""
        self._check(frame_of("yuv420p", (66, 47)), some_grid(*grid), random_planes)

    def _check(self, frame, grid, planes_of):
        codes, planes = codes_of(frame), planes_of(frame)
        expected = reference(planes, codes, grid)
        restyle(planes, codes, grid)
        # Rounding takes half a code. Positions of up to 90 cells are rounded by 5e-6 of a cell; neighbouring
        # coefficients differ by about .3, and a channel adds four of them: 1e-5 of the codes. Other roundings are
        # smaller.
        tolerance = 0.5 + 2e-5 * codes.maximum
        for plane, exact in zip(planes, expected, strict=True):
            assert np.abs(plane - exact).max() <= tolerance

    @pytest.mark.parametrize("layout", ["yuv420p", "yuv422p10le", "yuv444p12le", "gbrp"])
    def test_identity_gives_back_every_code(self, layout):
        frame = frame_of(layout, (37, 51))
        planes, codes = random_planes(frame), codes_of(frame)
        before = [plane.copy() for plane in planes]
        restyle(planes, codes, identity_grid(1, 8, 16, 16)[0])
        assert all(np.array_equal(a, b) for a, b in zip(planes, before, strict=True))
