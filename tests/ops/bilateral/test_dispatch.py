import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.bilateral import reference as bilateral
from lookcast.ops.bilateral.dispatch import (
    apply_grid,
    apply_grid_to_images,
    apply_grid_to_pixels,
    apply_grid_to_rows,
    slice_apply_by_depth,
)
from lookcast.ops.color import luma
from tests.samples import rand, randn


class Applied(torch.nn.Module):
    def forward(self, grid, image):
        return apply_grid(grid, image)


class AppliedToImages(torch.nn.Module):
    def forward(self, grid, images):
        return apply_grid_to_images(grid, images)


class TestSliceApplyByDepth:
    @pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 33)])
    @pytest.mark.parametrize("cells", [(8, 16, 16), (1, 1, 1), (3, 2, 5)])
    def test_matches_reference(self, size, cells):
        grid, guide, image = randn(2, 12, *cells), rand(2, 1, *size), rand(2, 3, *size, seed=1)
        expected = bilateral.slice_apply(grid, guide, image)
        assert torch.allclose(slice_apply_by_depth(grid, guide, image), expected, atol=1e-12)

    def test_guide_at_its_ends(self):
        grid, image = randn(1, 12, 4, 2, 2), rand(1, 3, 6, 6)
        guide = torch.linspace(0, 1, 36, dtype=grid.dtype).view(1, 1, 6, 6)
        expected = bilateral.slice_apply(grid, guide, image)
        assert torch.allclose(slice_apply_by_depth(grid, guide, image), expected, atol=1e-12)

    def test_identity_gives_the_image_back(self):
        image = rand(1, 3, 9, 13, dtype=torch.float32)
        grid = bilateral.identity_grid(1, 8, 16, 16)
        assert (slice_apply_by_depth(grid, image[:, :1], image) - image).abs().max() < 1e-6


class TestApplyGrid:
    def test_computes_with_the_reference(self):
        grid, image = randn(1, 12, 4, 3, 3), rand(1, 3, 8, 9)
        assert torch.equal(apply_grid(grid, image), bilateral.slice_apply(grid, luma(image), image))

    def test_exports_for_every_size(self):
        free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
        shapes = ({0: torch.export.Dim.DYNAMIC}, free)
        program = torch.export.export(Applied(), (randn(2, 12, 4, 3, 3), rand(2, 3, 8, 9)), dynamic_shapes=shapes)
        assert not any("grid_sampler" in str(node.target) for node in program.graph.nodes)
        grid, image = randn(3, 12, 4, 3, 3, seed=1), rand(3, 3, 31, 20, seed=1)
        assert torch.allclose(program.module()(grid, image), apply_grid(grid, image), atol=1e-12)

    def test_rejects_what_does_not_fit(self):
        with pytest.raises(ShapeError, match=r"^image: expected shape"):
            apply_grid(randn(1, 12, 4, 3, 3), rand(1, 4, 8, 9))


class TestApplyGridToImages:
    @pytest.mark.parametrize("size", [(1, 1), (7, 5)])
    def test_equals_one_call_for_each_image(self, size):
        grid, images = randn(2, 12, 4, 3, 5), rand(2, 6, 3, *size)
        found = apply_grid_to_images(grid, images)
        assert found.shape == images.shape
        for n in range(6):
            torch.testing.assert_close(found[:, n], apply_grid(grid, images[:, n]), rtol=0, atol=1e-12)

    def test_exports(self):
        grid, images = randn(2, 12, 4, 3, 3), rand(2, 5, 3, 8, 9)
        program = torch.export.export(AppliedToImages(), (grid, images))
        assert not any("grid_sampler" in str(node.target) for node in program.graph.nodes)
        expected = apply_grid_to_images(grid, images)
        torch.testing.assert_close(program.module()(grid, images), expected, rtol=0, atol=1e-12)

    def test_rejects_what_does_not_fit(self):
        with pytest.raises(ShapeError, match=r"^images: expected shape \(2, T, 3, H, W\)"):
            apply_grid_to_images(randn(2, 12, 4, 3, 3), rand(1, 5, 3, 8, 9))


class TestApplyGridToRows:
    @pytest.mark.parametrize("cells", [(8, 16, 16), (20, 3, 4)])  # 20 depths: the kernel for single pixels
    @pytest.mark.parametrize("rows", [(0, 70), (0, 1), (69, 70), (5, 66)])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32], ids=str)
    def test_equals_the_rows_of_the_whole(self, cells, rows, dtype):
        grid, photo = randn(12, *cells, dtype=torch.float32), rand(70, 41, 3, dtype=torch.float32)
        if not dtype.is_floating_point:
            photo = (photo * torch.iinfo(dtype).max).round().to(dtype)
        whole = apply_grid_to_pixels(grid, photo)
        assert torch.equal(apply_grid_to_rows(grid, photo, *rows), whole[slice(*rows)])
        turned = photo.flip(1).transpose(0, 1).contiguous().transpose(0, 1)  # another memory layout
        assert torch.equal(apply_grid_to_rows(grid, turned, *rows), apply_grid_to_pixels(grid, turned)[slice(*rows)])

    @pytest.mark.parametrize("rows", [(-1, 3), (3, 3), (4, 3), (0, 71)])
    def test_rejects_rows_outside(self, rows):
        with pytest.raises(InputError, match=r"^top, bottom: expected rows in 0 to 70, got"):
            apply_grid_to_rows(randn(12, 4, 3, 3, dtype=torch.float32), torch.zeros(70, 4, 3), *rows)
