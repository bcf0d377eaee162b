import pytest
import torch

from lookcast.ops import bilateral
from lookcast.ops.slicing import slice_apply, slice_apply_by_depth
from tests.samples import rand, randn


class Sliced(torch.nn.Module):
    def forward(self, grid, guide, image):
        return slice_apply(grid, guide, image)


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


class TestSliceApply:
    def test_computes_with_the_reference(self):
        grid, image = randn(1, 12, 4, 3, 3), rand(1, 3, 8, 9)
        assert torch.equal(slice_apply(grid, image[:, :1], image), bilateral.slice_apply(grid, image[:, :1], image))

    def test_exports_for_every_size(self):
        free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
        grid, image = randn(2, 12, 4, 3, 3), rand(2, 3, 8, 9)
        shapes = ({0: torch.export.Dim.DYNAMIC}, free, free)
        program = torch.export.export(Sliced(), (grid, image[:, :1], image), dynamic_shapes=shapes)
        assert not any("grid_sampler" in str(node.target) for node in program.graph.nodes)
        grid, image = randn(3, 12, 4, 3, 3, seed=1), rand(3, 3, 31, 20, seed=1)
        expected = bilateral.slice_apply(grid, image[:, :1], image)
        assert torch.allclose(program.module()(grid, image[:, :1], image), expected, atol=1e-12)
