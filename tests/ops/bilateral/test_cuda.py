"""The kernels against the reference: on a GPU, and in every run through Triton's interpreter, on the CPU.

Triton decides at import whether it interprets, so that run is a separate process over this same file.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.bilateral.reference import apply_affine, identity_grid, slice_grid
from lookcast.ops.color import luma
from tests.samples import photo, rand, randn

pytest.importorskip("triton")

from lookcast.ops.bilateral.cuda import apply_grid, apply_grid_to_pixels, supports

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
# (B, D, GH, GW), (H, W): more pixels than cells, fewer, one cell, one pixel, several programs in an interval.
SMALL = [((2, 4, 2, 3), (7, 37)), ((1, 3, 6, 5), (3, 4)), ((1, 1, 1, 1), (4, 3)), ((2, 2, 3, 1), (1, 1))]
SMALL += [((1, 8, 1, 1), (2, 141)), ((1, 5, 1, 1), (37, 5))]
LARGE = [((1, 8, 16, 16), size) for size in [(1003, 1501), (1, 2001), (2001, 1)]]
LARGE += [((4, 8, 16, 16), (256, 256)), ((1, 32, 3, 5), (300, 401))]
SIZES = SMALL if INTERPRETED else SMALL + LARGE
LEVELS = {torch.uint8: 255, torch.uint16: 65535, torch.float32: 1}


def on_device(test):
    """Run a test of the kernels where they run: interpreted, or on a GPU."""
    return test if INTERPRETED else pytest.mark.gpu(no_gpu(test))


def _case(grid_size, size):
    batch, *cells = grid_size
    grid = randn(batch, 12, *cells, dtype=torch.float32)
    # A little beyond [0, 1], as a draft may be: the depth has to be clamped there.
    return grid.to(DEVICE), (rand(batch, 3, *size, seed=1, dtype=torch.float32) * 1.2 - 0.1).to(DEVICE)


def _pixels(size, dtype):
    values = rand(*size, 3, seed=2) * LEVELS[dtype]
    return (values.round() if LEVELS[dtype] > 1 else values).to(dtype).to(DEVICE)


def _reference(grid, image):
    return apply_affine(slice_grid(grid, luma(image)), image)


def _reference_levels(grid, pixels):
    """For pixels, as levels in float."""
    white = LEVELS[pixels.dtype]
    image = (pixels.float() / white).permute(2, 0, 1)[None]
    levels = (_reference(grid[None], image)[0].clamp(0, 1) * white).permute(1, 2, 0)
    return levels.round() if white > 1 else levels


@pytest.mark.skipif(INTERPRETED, reason="already interpreted")
@pytest.mark.slow
class TestInterpreter:
    def test_everything_here_passes(self):
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr


class TestApplyGrid:
    @on_device
    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_matches_reference(self, grid_size, size):
        grid, image = _case(grid_size, size)
        out = apply_grid(grid, image)
        assert out.dtype == torch.float32
        # In a large photo the float32 of the positions, not of the colours, is what differs.
        tolerance = 1e-5 if max(size) < 200 else 1e-4
        torch.testing.assert_close(out, _reference(grid, image), rtol=tolerance, atol=tolerance)

    @on_device
    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_gradient_matches_reference(self, grid_size, size):
        grid, image = _case(grid_size, size)
        grid.requires_grad_()
        weight = randn(*image.shape, seed=3, dtype=torch.float32).to(DEVICE)
        (gradient,) = torch.autograd.grad(apply_grid(grid, image), grid, weight)
        (expected,) = torch.autograd.grad(_reference(grid, image), grid, weight)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))

    @on_device
    def test_reads_any_strides(self):
        grid, image = _case((1, 2, 2, 2), (5, 6))
        expected = apply_grid(grid, image)
        other_grid = grid.transpose(3, 4).contiguous().transpose(3, 4)
        wide = torch.cat([image, image], 3)[..., :6]
        for other in (image.to(memory_format=torch.channels_last), wide):
            assert torch.equal(apply_grid(other_grid, other), expected)

    @on_device
    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_deterministic_gradient(self, grid_size, size):
        grid, image = _case(grid_size, size)
        grid.requires_grad_()
        weight = randn(*image.shape, seed=3, dtype=torch.float32).to(DEVICE)
        # The interpreter is slow, and runs one program after another, so its sums always have the same order.
        (expected,) = torch.autograd.grad((_reference if INTERPRETED else apply_grid)(grid, image), grid, weight)
        torch.use_deterministic_algorithms(True)
        try:
            assert supports(grid, image) or INTERPRETED
            runs = range(1 if INTERPRETED else 2)
            found = [torch.autograd.grad(apply_grid(grid, image), grid, weight)[0] for _ in runs]
        finally:
            torch.use_deterministic_algorithms(False)
        for gradient in found:
            assert torch.equal(gradient, found[0])
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))

    @on_device
    def test_gradient_of_a_sum_reads_any_strides(self):
        grid, image = _case((1, 2, 2, 2), (5, 6))
        grid.requires_grad_()
        (gradient,) = torch.autograd.grad(apply_grid(grid, image).sum(), grid)  # arrives expanded from one number
        (expected,) = torch.autograd.grad(_reference(grid, image).sum(), grid)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)

    @on_device
    def test_nan_stays_in_its_pixel(self):
        grid, image = _case((1, 8, 2, 3), (7, 37))
        faulty = image.clone()
        faulty[0, 1, 3, 20] = torch.nan
        out, expected = apply_grid(grid, faulty), apply_grid(grid, image)
        assert out[0, :, 3, 20].isnan().any()
        out[0, :, 3, 20] = expected[0, :, 3, 20]
        assert torch.equal(out, expected)
        pixels = apply_grid_to_pixels(grid[0], faulty[0].permute(1, 2, 0))
        assert pixels[3, 20].isnan().any()
        assert pixels.isnan().any(-1).sum() == 1

    @on_device
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_float32(self, dtype):
        grid, image = (t.to(dtype) for t in _case((1, 4, 2, 2), (5, 6)))
        grid.requires_grad_()
        out = apply_grid(grid, image)
        expected = _reference(grid.float(), image.float())
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
        (gradient,) = torch.autograd.grad(out.square().sum(), grid)
        assert gradient.dtype == dtype
        (expected,) = torch.autograd.grad(expected.square().sum(), grid)
        torch.testing.assert_close(gradient, expected, rtol=1e-2, atol=1e-2)

    def test_rejects_shapes_that_do_not_fit(self):
        grid, image = randn(2, 12, 2, 2, 2), rand(2, 3, 4, 5)
        with pytest.raises(ShapeError, match="image: expected shape"):
            apply_grid(grid, image[:, :2])
        for wrong in (grid[:1], grid[:, :9], grid[0]):
            with pytest.raises(ShapeError, match="grid: expected shape"):
                apply_grid(wrong, image)


class TestApplyGridToPixels:
    @on_device
    @pytest.mark.parametrize("dtype", LEVELS)
    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_matches_reference(self, grid_size, size, dtype):
        grid, pixels = _case(grid_size, size)[0][0], _pixels(size, dtype)
        out = apply_grid_to_pixels(grid, pixels)
        assert (out.dtype, out.shape) == (dtype, pixels.shape)
        difference = (out.float() - _reference_levels(grid, pixels)).abs()
        # The positions of a large photo: see above.
        small = max(size) < 200
        limits = {torch.uint8: 1, torch.uint16: 1 if small else 8, torch.float32: 1e-5 if small else 1e-4}
        assert difference.max() <= limits[dtype]
        assert difference.mean() < 0.3

    @on_device
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
    def test_identity_grid_gives_every_level_back(self, dtype):
        pixels = torch.arange(256).repeat(3).view(2, -1, 3).flip(1) * (LEVELS[dtype] // 255)
        pixels = pixels.to(dtype).to(DEVICE)
        grid = identity_grid(1, 8, 3, 4, device=DEVICE)[0]
        assert torch.equal(apply_grid_to_pixels(grid, pixels), pixels)

    @on_device
    def test_gives_a_photo_the_look_of_the_reference(self):
        pixels = (photo("coffee")[0, :, :8].permute(1, 2, 0) * 255).round().to(torch.uint8).to(DEVICE)
        # A strong look, unlike noise.
        grid = identity_grid(1, 8, 1, 2, device=DEVICE)[0] + 0.2 * randn(12, 8, 1, 2, dtype=torch.float32).to(DEVICE)
        difference = (apply_grid_to_pixels(grid, pixels).float() - _reference_levels(grid, pixels)).abs()
        assert difference.max() <= 1
        assert difference.mean() < 0.05

    @on_device
    def test_reads_any_strides(self):
        grid, pixels = _case((1, 2, 2, 2), (1, 1))[0][0], _pixels((5, 6), torch.uint8)
        out = apply_grid_to_pixels(grid, pixels)
        assert torch.equal(apply_grid_to_pixels(grid, pixels.permute(2, 0, 1).contiguous().permute(1, 2, 0)), out)

    @on_device
    @pytest.mark.parametrize("first", range(1, 5))
    def test_reads_bytes_at_any_address(self, first):
        grid = _case((1, 8, 3, 4), (1, 1))[0][0]
        shifted = torch.empty(first + 30 * 41 * 3, dtype=torch.uint8, device=DEVICE)[first:].view(30, 41, 3)
        shifted.copy_(_pixels((30, 41), torch.uint8))
        difference = (apply_grid_to_pixels(grid, shifted).float() - _reference_levels(grid, shifted)).abs()
        assert difference.max() <= 1

    def test_rejects_what_does_not_fit(self):
        grid, pixels = randn(12, 2, 2, 2), torch.zeros(4, 5, 3, dtype=torch.uint8)
        with pytest.raises(ShapeError, match="grid: expected shape"):
            apply_grid_to_pixels(grid[None], pixels)
        with pytest.raises(ShapeError, match="pixels: expected shape"):
            apply_grid_to_pixels(grid, pixels[..., :2])
        with pytest.raises(InputError, match="pixels: expected uint8, uint16 or float32"):
            apply_grid_to_pixels(grid, pixels.double())


class TestSupports:
    def test_nothing_on_the_cpu(self):
        assert not supports(randn(1, 12, 2, 2, 2).float(), rand(1, 3, 4, 4).float())

    @pytest.mark.gpu
    @no_gpu
    def test_what_the_reference_keeps(self):
        grid = randn(1, 12, 8, 2, 2).float().cuda().requires_grad_()
        image = rand(1, 3, 4, 4).float().cuda()
        assert supports(grid, image)
        assert supports(grid[0], torch.zeros(4, 4, 3, dtype=torch.uint16, device="cuda"))
        assert not supports(grid, image.double())
        assert not supports(grid.cpu(), image)
        assert not supports(grid.repeat(1, 1, 5, 1, 1), image)
        assert not supports(grid, image.clone().requires_grad_())
        with torch.no_grad():
            assert supports(grid, image.clone().requires_grad_())
