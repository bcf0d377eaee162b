import pytest
import torch

from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.color import LUMA
from lookcast.ops.masks import PALETTE
from lookcast.pages.drawings import HUES, change_picture, grey_slices, overlay, region_colors, sample_colors
from tests.samples import photo, rand


class TestRegionColors:
    def test_masks_keep_their_colors(self):
        names, colors = region_colors(9, masked=True)
        assert names == [name for name, _ in PALETTE]
        assert (255 * colors).round().int().tolist() == [list(rgb) for _, rgb in PALETTE]

    @pytest.mark.parametrize(("count", "masked"), [(1, False), (8, False), (9, False), (64, False), (5, True)])
    def test_others_differ(self, count, masked):
        names, colors = region_colors(count, masked)
        assert names[0] == "region 1"
        assert len(set(names)) == len(names) == count
        assert colors.shape == (count, 3)
        assert len({tuple(color) for color in (255 * colors).round().int().tolist()}) == count

    def test_names(self):
        names, colors = region_colors(2, False, ("sky", "water"))
        assert names == ["sky", "water"]
        assert torch.equal(colors, region_colors(2, False)[1])


class TestOverlay:
    def test_known_value(self):
        image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
        mask = torch.zeros(1, 9, 1, 2)
        mask[0, 0, 0, 0], mask[0, 4, 0, 1] = 1, 1  # blue, red
        expected = torch.tensor([[[0.2, 0.7], [0.2, 0.2], [0.7, 0.2]]]).view(1, 3, 1, 2)
        torch.testing.assert_close(overlay(image, mask), expected)

    def test_a_mask_of_another_size(self):
        image = photo("coffee").float()
        mask = torch.tensor([0.25, 0.75]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
        expected = image.mean(1, keepdim=True) / 2 + torch.tensor([0.125, 0.375, 0.0]).view(1, 3, 1, 1)
        assert (overlay(image, mask, torch.eye(3)[:2]) - expected).abs().max() < 1e-6


class TestGreySlices:
    @pytest.mark.parametrize("depth", [1, 2, 8])
    def test_equals_slicing_of_a_grey_photo(self, depth):
        grid = identity_grid(1, depth, 4, 5) + 0.2 * rand(1, 12, depth, 4, 5).float()
        slices = grey_slices(grid)
        assert slices.shape == (depth, 3, 4, 5)
        for level in range(depth):
            # The centre of each cell is a pixel, because a cell has 3 x 3 pixels.
            grey = torch.full((1, 3, 12, 15), (level + 0.5) / depth)
            # Coefficients of at most 1.2, and positions rounded by 2^-23 of at most 8 cells.
            assert (apply_grid(grid, grey)[0, :, 1::3, 1::3] - slices[level]).abs().max() < 1e-5


class TestSampleColors:
    @pytest.mark.parametrize("depth", [1, 4, 8, 16])
    def test_have_the_luma_of_their_depth(self, depth):
        colors = sample_colors(depth)
        assert colors.shape == (depth, 1 + len(HUES), 3)
        steps = (torch.arange(depth) + 0.5) / depth
        assert (colors @ torch.tensor(LUMA) - steps[:, None]).abs().max() < 1e-6
        assert colors.min() > -1e-6
        assert colors.max() < 1 + 1e-6
        assert (colors[:, 0] - steps[:, None]).abs().max() < 1e-6

    def test_have_their_hues(self):
        for color, hue in zip(sample_colors(4)[1, 1:], HUES.values(), strict=True):
            wanted = torch.tensor(hue, dtype=torch.bool)
            assert color[wanted].min() > color[~wanted].max() + 0.1


class TestChangePicture:
    @pytest.mark.parametrize(("step", "gain"), [(0.9, 1), (0.2, 2), (0.05, 8), (0.0, 16), (1e-4, 16)])
    def test_known_value(self, step, gain):
        before = torch.full((1, 3, 4, 4), 0.1)
        picture, found = change_picture(before, before + step)
        assert found == gain
        expected = torch.full((1, 3, 4, 4), min(1.0, 0.5 + gain * step))
        assert torch.allclose(picture, expected, rtol=0, atol=1e-5)  # 16 times the rounding of the sum
