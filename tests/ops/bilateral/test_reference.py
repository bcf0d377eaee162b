import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lookcast.checks import InputError, ShapeError
from lookcast.ops.bilateral.reference import apply_affine, identity_grid, slice_apply, slice_by_guides, slice_grid
from tests.reference import bilateral as reference
from tests.samples import CROPS, photo, rand, randn

# (D, GH, GW), (H, W): more pixels than cells, fewer, one cell, one pixel, an axis of each kind.
SIZES = [((8, 4, 5), (13, 17)), ((3, 16, 16), (7, 9)), ((1, 1, 1), (4, 3)), ((2, 3, 1), (1, 1)), ((4, 2, 16), (11, 8))]


def _case(grid_size, size, batch=2, seed=0):
    grid = randn(batch, 12, *grid_size, seed=seed)
    # A little beyond [0, 1]: the depth has to be clamped there.
    guide = rand(batch, 1, *size, seed=seed + 1) * 1.2 - 0.1
    return grid, guide, rand(batch, 3, *size, seed=seed + 2)


class TestIdentityGrid:
    def test_shape(self):
        assert identity_grid(2, 8, 4, 5).shape == (2, 12, 8, 4, 5)

    def test_known_value(self):
        cell = identity_grid(1, 2, 2, 2, dtype=torch.float64)[0, :, 1, 0, 1]
        assert cell.tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
        assert cell.dtype == torch.float64

    def test_cells_are_independent(self):
        grid = identity_grid(2, 2, 2, 2)
        grid[0, 0, 0, 0, 0] = 5  # fails on an expanded view, or changes other cells
        assert grid.sum() == 2 * 8 * 3 + 4


class TestSliceByGuides:
    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_each_guide_slices_the_same_grid(self, grid_size, size):
        grid = randn(2, 5, *grid_size)
        guides = rand(2, 3, *size) * 1.2 - 0.1
        found = slice_by_guides(grid, guides)
        assert found.shape == (2, 5, 3, *size)
        for n in range(3):
            torch.testing.assert_close(found[:, :, n], slice_grid(grid, guides[:, n : n + 1]), rtol=0, atol=1e-12)


class TestSliceGrid:
    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_shape(self, grid_size, size):
        grid, guide, _ = _case(grid_size, size)
        assert slice_grid(grid[:, :5], guide).shape == (2, 5, *size)

    def test_known_value(self):
        # Depth levels 0 and 1 hold 0 and 1, their centres are at guide .25 and .75: halfway between them .5.
        grid = torch.tensor([0.0, 1.0]).view(1, 1, 2, 1, 1)
        guide = torch.tensor([0.0, 0.25, 0.5, 0.625, 0.75, 1.0]).view(1, 1, 1, 6)
        assert slice_grid(grid, guide).flatten().tolist() == [0, 0, 0.5, 0.75, 1, 1]

    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_matches_reference(self, grid_size, size):
        grid, guide, _ = _case(grid_size, size)
        expected = [reference.slice_grid(g.numpy(), u[0].numpy()) for g, u in zip(grid, guide, strict=True)]
        torch.testing.assert_close(slice_grid(grid, guide), torch.from_numpy(np.stack(expected)), rtol=0, atol=1e-12)

    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_matches_grid_sample(self, grid_size, size):
        grid, guide, _ = _case(grid_size, size)
        height, width = size
        y = 2 * (torch.arange(height, dtype=torch.float64) + 0.5) / height - 1
        x = 2 * (torch.arange(width, dtype=torch.float64) + 0.5) / width - 1
        plane = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).expand(len(guide), -1, -1, -1)
        where = torch.cat([plane, 2 * guide[:, 0, :, :, None] - 1], -1)[:, None]
        expected = F.grid_sample(grid, where, align_corners=False, padding_mode="border")[:, :, 0]
        torch.testing.assert_close(slice_grid(grid, guide), expected, rtol=0, atol=1e-12)

    def test_invariance_to_other_items_of_the_batch(self):
        grid, guide, _ = _case((4, 3, 3), (6, 7))
        torch.testing.assert_close(slice_grid(grid, guide)[1:], slice_grid(grid[1:], guide[1:]), rtol=0, atol=1e-15)

    def test_half_precision_is_computed_in_float32(self):
        grid, guide, _ = _case((8, 4, 4), (9, 9))
        grid, guide = grid.bfloat16(), guide.bfloat16()
        out = slice_grid(grid, guide)
        assert out.dtype == torch.float32
        # Positions of up to 8 cells are rounded by 5e-7 of a cell, neighbouring cells differ by up to 4.
        torch.testing.assert_close(out.double(), slice_grid(grid.double(), guide.double()), rtol=0, atol=2e-6)

    def test_autocast_takes_no_digits(self):
        grid, guide, _ = (t.float() for t in _case((8, 4, 4), (9, 9)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = slice_grid(grid, guide)
        assert out.dtype == torch.float32
        torch.testing.assert_close(out, slice_grid(grid, guide), rtol=0, atol=0)

    def test_gradcheck(self):
        grid = randn(1, 2, 3, 2, 3).requires_grad_()
        # The guide avoids the kinks of the tents, which have no derivative.
        guide = ((torch.arange(20) % 7 + 0.3) / 7.7).double().view(1, 1, 4, 5).requires_grad_()
        assert torch.autograd.gradcheck(slice_grid, (grid, guide))

    def test_rejects_shapes_that_do_not_fit(self):
        grid, guide, _ = _case((4, 3, 3), (6, 7))
        with pytest.raises(ShapeError, match="grid: expected shape"):
            slice_grid(grid[0], guide)
        with pytest.raises(ShapeError, match="guide: expected shape"):
            slice_grid(grid, guide[:1])
        with pytest.raises(ShapeError, match="guide: expected shape"):
            slice_grid(grid, guide.repeat(1, 3, 1, 1))


class TestApplyAffine:
    def test_known_value(self):
        image = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64).view(1, 3, 1, 1)
        coefficients = torch.arange(12, dtype=torch.float64).view(1, 12, 1, 1)
        # Row i: 4i * .1 + (4i + 1) * .2 + (4i + 2) * .3 + 4i + 3
        expected = torch.tensor([3.8, 10.2, 16.6], dtype=torch.float64).view(1, 3, 1, 1)
        torch.testing.assert_close(apply_affine(coefficients, image), expected)

    def test_rejects_shapes_that_do_not_fit(self):
        image = rand(2, 3, 4, 5)
        for coefficients in (rand(2, 9, 4, 5), rand(1, 12, 4, 5), rand(2, 12, 5, 4)):
            with pytest.raises(ShapeError, match="coefficients: expected shape"):
                apply_affine(coefficients, image)


class TestSliceApply:
    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_shape(self, grid_size, size):
        assert slice_apply(*_case(grid_size, size)).shape == (2, 3, *size)

    @pytest.mark.parametrize(("grid_size", "size"), SIZES)
    def test_matches_reference(self, grid_size, size):
        case = _case(grid_size, size)
        expected = [reference.slice_apply(g.numpy(), u[0].numpy(), i.numpy()) for g, u, i in zip(*case, strict=True)]
        torch.testing.assert_close(slice_apply(*case), torch.from_numpy(np.stack(expected)), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("name", CROPS)
    def test_identity_grid_gives_the_photo_back(self, name):
        image = photo(name)
        for guide in (image[:, :1], rand(1, 1, *image.shape[-2:])):
            out = slice_apply(identity_grid(1, 8, 16, 16, dtype=torch.float64), guide, image)
            torch.testing.assert_close(out, image, rtol=0, atol=1e-14)
            # Eight weights, each rounded by 6e-8 of a cell: 5e-7, and the products.
            out = slice_apply(identity_grid(1, 8, 16, 16), guide.float(), image.float())
            torch.testing.assert_close(out, image.float(), rtol=0, atol=1e-6)

    def test_identity_grid_gives_the_photo_back_under_autocast(self):
        image = photo("chelsea").float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = slice_apply(identity_grid(1, 8, 16, 16), image[:, 1:2], image)
        torch.testing.assert_close(out, image, rtol=0, atol=1e-6)

    def test_invariance_to_the_guide_of_a_uniform_grid(self):
        transform = randn(1, 12, 1, 1, 1)
        image = rand(1, 3, 6, 5)
        out = slice_apply(transform.repeat(1, 1, 4, 3, 3), rand(1, 1, 6, 5, seed=9), image)
        expected = apply_affine(transform[..., 0].repeat(1, 1, 6, 5), image)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-14)

    def test_gradcheck(self):
        grid, _, image = _case((2, 2, 2), (3, 4), batch=1)
        guide = ((torch.arange(12) % 5 + 0.4) / 5.9).double().view(1, 1, 3, 4)
        assert torch.autograd.gradcheck(slice_apply, [t.requires_grad_() for t in (grid, guide, image)])

    def test_rejects_shapes_that_do_not_fit(self):
        grid, guide, image = _case((2, 2, 2), (6, 7))
        with pytest.raises(ShapeError, match="guide: expected shape"):
            slice_apply(grid, guide[..., :-1], image)
        with pytest.raises(ShapeError, match="image: expected shape"):
            slice_apply(grid, guide, image[:, :2])
        with pytest.raises(ShapeError, match="coefficients: expected shape"):
            slice_apply(grid[:, :9], guide, image)

    def test_rejects_integers(self):
        grid, guide, image = _case((2, 2, 2), (6, 7))
        with pytest.raises(InputError, match="image: expected floating point"):
            slice_apply(grid, guide, image.to(torch.uint8))
