import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.bilateral.dispatch import apply_grid, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import identity_grid
from tests.samples import CROPS, photo, randn

LEVELS = {torch.uint8: 255, torch.uint16: 65535, torch.float32: 1}
KINDS = pytest.mark.parametrize("kind", LEVELS, ids=str)


def pixels_of(image, kind):
    """`(3, H, W)` in [0, 1] to `(H, W, 3)` of a type."""
    values = image.permute(1, 2, 0).double() * LEVELS[kind]
    return (values if kind == torch.float32 else values.round()).contiguous().to(kind)


def some_grid(depth=8, height=16, width=16, seed=0):
    return identity_grid(1, depth, height, width)[0] + 0.1 * randn(12, depth, height, width, seed=seed).float()


def reference(grid, pixels):
    """Return the output in float64, clamped and rounded like the pixels."""
    levels = LEVELS[pixels.dtype]
    image = pixels.double().permute(2, 0, 1)[None] / levels
    values = (apply_grid(grid[None].double(), image).clamp(0, 1) * levels)[0].permute(1, 2, 0)
    return values if levels == 1 else values.round()


def assert_agree(grid, pixels):
    output = apply_grid_to_pixels(grid, pixels)
    assert output.dtype == pixels.dtype
    difference = (output.double() - reference(grid, pixels)).abs()
    if pixels.dtype == torch.float32:
        # Positions of up to 90 cells are rounded by 90 x 6e-8 = 5e-6 of a cell; neighbouring coefficients differ by
        # about .3, and a colour adds four of them: 7e-6. All other roundings are of the order of 1e-7.
        assert difference.max() < 1e-5
    else:
        assert difference.max() <= 1
        # Values near the middle of two levels may be rounded either way: of 16 bits a few per cent, in float32.
        assert difference.mean() < (0.001 if pixels.dtype == torch.uint8 else 0.04)


class TestApplyGridToPixels:
    @KINDS
    @pytest.mark.parametrize("name", CROPS)
    def test_matches_reference(self, name, kind):
        assert_agree(some_grid(), pixels_of(photo(name)[0], kind))

    @KINDS
    @pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (7, 5), (131, 67)])
    @pytest.mark.parametrize("grid", [(8, 16, 16), (1, 1, 1), (2, 1, 3), (5, 40, 90), (16, 3, 2), (20, 4, 4)])
    def test_any_size(self, grid, size, kind):
        image = torch.from_numpy(np.random.default_rng(0).random((3, *size)))
        assert_agree(some_grid(*grid), pixels_of(image, kind))

    @KINDS
    def test_identity_gives_the_pixels_back(self, kind):
        pixels = pixels_of(photo("coffee")[0], kind)
        output = apply_grid_to_pixels(identity_grid(1, 8, 16, 16)[0], pixels)
        # Interpolation by differences of equal cells is exact; the three products of a colour round to 2e-7.
        torch.testing.assert_close(output.double(), pixels.double(), rtol=0, atol=1e-6)

    @KINDS
    def test_every_level_of_grey(self, kind):
        levels = torch.linspace(0, 1, 256).double().view(1, 1, -1).expand(3, 3, -1)
        assert_agree(some_grid(depth=3), pixels_of(levels, kind))

    @KINDS
    def test_clamps(self, kind):
        grid = torch.zeros(12, 1, 1, 1)
        grid[3], grid[7], grid[11] = 1.5, -0.5, 0.25
        output = apply_grid_to_pixels(grid, pixels_of(photo("coffee")[0], kind)).double() / LEVELS[kind]
        for channel, value in enumerate((1, 0, 0.25)):
            assert (output[..., channel] - value).abs().max() < 0.5 / 255

    @KINDS
    def test_any_memory_layout(self, kind):
        pixels = pixels_of(photo("astronaut")[0], kind)
        expected = apply_grid_to_pixels(some_grid(), pixels)
        planar = pixels.permute(2, 0, 1).contiguous().permute(1, 2, 0)
        padded = torch.from_numpy(np.zeros((*pixels.shape[:2], 4), pixels.numpy().dtype))
        padded[..., :3] = pixels
        for view in (planar, padded[..., :3]):
            output = apply_grid_to_pixels(some_grid(), view)
            assert torch.equal(output.double(), expected.double())
        assert apply_grid_to_pixels(some_grid(), planar).stride() == planar.stride()
        turned = pixels.numpy().transpose(1, 0, 2).copy().transpose(1, 0, 2)
        output = apply_grid_to_pixels(some_grid(), torch.from_numpy(turned))
        assert torch.equal(output.double(), expected.double())

    def test_grey_without_a_copy(self):
        grey = torch.from_numpy(np.arange(256, dtype=np.uint8))[None, :, None]
        expected = apply_grid_to_pixels(some_grid(), grey.repeat(1, 1, 3))
        assert torch.equal(apply_grid_to_pixels(some_grid(), grey.expand(-1, -1, 3)), expected)

    def test_threads_agree_with_one(self):
        pixels = pixels_of(photo("coffee")[0], torch.uint8).repeat(4, 1, 1)
        before = torch.get_num_threads()
        outputs = []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                outputs.append(apply_grid_to_pixels(some_grid(), pixels))
        finally:
            torch.set_num_threads(before)
        assert torch.equal(outputs[0], outputs[1])
        assert torch.equal(outputs[0], outputs[2])

    def test_nan_stays_where_it_is(self):
        pixels = pixels_of(photo("coffee")[0], torch.float32)
        expected = apply_grid_to_pixels(some_grid(), pixels)
        broken = pixels.clone()
        broken[3, 4] = torch.nan
        output = apply_grid_to_pixels(some_grid(), broken)
        others = torch.ones(pixels.shape[:2], dtype=torch.bool)
        others[3, 4] = False
        assert torch.equal(output[others], expected[others])

    def test_leaves_its_arguments_alone(self):
        grid, pixels = some_grid(), pixels_of(photo("coffee")[0], torch.uint8)
        copies = grid.clone(), pixels.clone()
        apply_grid_to_pixels(grid, pixels)
        assert torch.equal(grid, copies[0])
        assert torch.equal(pixels, copies[1])

    def test_rejects_what_does_not_fit(self):
        pixels = torch.zeros(4, 5, 3, dtype=torch.uint8)
        with pytest.raises(ShapeError, match=r"^grid: expected shape \(12, D, GH, GW\)"):
            apply_grid_to_pixels(some_grid()[None], pixels)
        with pytest.raises(ShapeError, match=r"^pixels: expected shape \(H, W, 3\)"):
            apply_grid_to_pixels(some_grid(), pixels[..., :2])
        with pytest.raises(InputError, match=r"^pixels: expected uint8, uint16 or float32, got torch.int32"):
            apply_grid_to_pixels(some_grid(), pixels.int())


class TestOtherProcessors:
    """This file again, compiled for a CPU without the instructions of this one."""

    @pytest.mark.skipif("NUMBA_CPU_FEATURES" in os.environ, reason="is itself that run")
    @pytest.mark.nightly
    @pytest.mark.parametrize(("features", "lanes"), [("+avx,+avx2,+fma", 8), ("", 0)])
    def test_agree_too(self, features, lanes, tmp_path):
        environment = {"NUMBA_CPU_FEATURES": features, "NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}
        program = (
            "import sys, pytest\nfrom lookcast.ops.bilateral.cpu_vectors import LANES\n"
            f"assert LANES == {lanes}\nsys.exit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', {__file__!r}]))"
        )
        result = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
