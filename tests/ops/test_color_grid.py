import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.color_grid import fit_color_grid
from tests.reference import color_grid as reference
from tests.samples import photo, rand, randn, recolor


def as_colors(image):
    return image[0].flatten(1).T


class TestFitColorGrid:
    @pytest.mark.parametrize(("depth", "gradient"), [(1, 1e-6), (2, 1e-2), (5, 1e-4), (12, 1e-6)])
    def test_matches_reference(self, depth, gradient):
        source = rand(400, 3)
        target = source**1.3 + 0.02 * randn(400, 3, seed=1)
        grid = fit_color_grid(source, target, depth, gradient)
        expected = reference.fit_color_grid(source.numpy(), target.numpy(), depth, gradient)
        actual = grid[0, :, :, 0, 0].T.reshape(depth, 3, 4)
        # Normal equations square the condition number, at most 1e9 by the ridge.
        torch.testing.assert_close(actual, torch.from_numpy(expected), rtol=0, atol=1e-5)

    def test_affine_change_is_exact(self):
        image = photo("astronaut")
        grid = fit_color_grid(as_colors(image), as_colors(recolor(image)), 8, 1e-4)
        assert (apply_grid(grid, image) - recolor(image)).abs().max() < 1e-4

    def test_curve(self):
        image = photo("coffee")
        curved = image.square()
        errors = []
        for depth in (1, 4, 32):
            grid = fit_color_grid(as_colors(image), as_colors(curved), depth, 1e-6)
            errors.append(float((apply_grid(grid, image) - curved).abs().mean()))
        assert errors[0] > 2 * errors[1] > 2 * errors[2]

    def test_no_change_is_the_identity(self):
        colors = rand(50, 3)
        assert torch.equal(fit_color_grid(colors, colors, 4, 1e-6), identity_grid(1, 4, 1, 1, dtype=torch.float64))

    def test_levels_without_colors_take_those_of_their_neighbours(self):
        colors = 0.3 * rand(200, 3)
        grid = fit_color_grid(colors, 0.5 * colors, 10, 1e-4)
        bright = torch.full((1, 3, 1, 1), 0.9, dtype=torch.float64)
        assert apply_grid(grid, bright).flatten().tolist() == pytest.approx([0.45] * 3, abs=0.01)

    def test_a_single_colour(self):
        color = torch.tensor([[0.2, 0.4, 0.6]]).expand(30, 3)
        grid = fit_color_grid(color, color + 0.1, 4, 1e-6)
        assert grid.dtype == torch.float32
        output = apply_grid(grid, color[:1].view(1, 3, 1, 1))
        assert output.flatten().tolist() == pytest.approx([0.3, 0.5, 0.7], abs=1e-4)

    def test_rejects(self):
        with pytest.raises(ShapeError, match=r"^target"):
            fit_color_grid(rand(4, 3), rand(5, 3), 4, 1e-6)
        with pytest.raises(InputError, match=r"^source: expected at least one element, got the shape \(0, 3\)$"):
            fit_color_grid(rand(0, 3), rand(0, 3), 4, 1e-6)
        with pytest.raises(InputError, match=r"^depth: expected an integer from 1 to 1024, got 0$"):
            fit_color_grid(rand(4, 3), rand(4, 3), 0, 1e-6)
