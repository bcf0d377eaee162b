import pytest
import torch

from lookcast.checks import ShapeError
from lookcast.losses.smoothness import gamut_excess, grid_smoothness
from lookcast.ops.bilateral.reference import identity_grid
from tests.samples import rand, randn


class TestGridSmoothness:
    def test_shape(self):
        assert grid_smoothness(randn(2, 12, 4, 3, 5)).shape == ()

    @pytest.mark.parametrize("dim", [2, 3, 4])
    def test_known_value(self, dim):
        # A ramp along one direction: squared slope there, nothing along the others.
        shape = [1, 1, 1, 1, 1]
        shape[dim] = 4
        ramp = 0.5 * torch.arange(4.0).view(shape)
        assert grid_smoothness(ramp.expand(2, 12, 4, 4, 4)).item() == pytest.approx(0.25)

    def test_matches_reference(self):
        grid = randn(2, 12, 3, 4, 2)
        total = 0.0
        for dim in (2, 3, 4):
            count = grid.shape[dim] - 1
            steps = [(grid.select(dim, i + 1) - grid.select(dim, i)).square().mean().item() for i in range(count)]
            total += sum(steps) / count
        assert grid_smoothness(grid).item() == pytest.approx(total, rel=1e-12)

    @pytest.mark.parametrize("size", [(8, 16, 16), (1, 4, 4), (1, 1, 1)])
    def test_one_transform_everywhere_costs_nothing(self, size):
        assert grid_smoothness(identity_grid(2, *size) * 1.7).item() == 0

    def test_invariance_to_a_global_transform(self):
        grid = randn(1, 12, 4, 3, 5)
        torch.testing.assert_close(grid_smoothness(grid + randn(1, 12, 1, 1, 1)), grid_smoothness(grid))

    def test_gradcheck(self):
        assert torch.autograd.gradcheck(grid_smoothness, randn(1, 12, 2, 2, 3).requires_grad_())

    def test_rejects_what_is_no_grid(self):
        with pytest.raises(ShapeError, match="grid: expected shape"):
            grid_smoothness(randn(1, 9, 4, 3, 5))
        with pytest.raises(ShapeError, match="grid: expected shape"):
            grid_smoothness(randn(12, 4, 3, 5))


class TestGamutExcess:
    def test_known_value(self):
        image = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.1, 3.0]).view(1, 3, 1, 2)
        assert gamut_excess(image).item() == pytest.approx((0.25 + 0.01 + 4) / 6)

    def test_nothing_outside_costs_nothing(self):
        assert gamut_excess(rand(2, 3, 4, 5)).item() == 0

    def test_gradient_leads_back(self):
        image = torch.tensor([-0.5, 0.5, 1.5]).view(1, 3, 1, 1).requires_grad_()
        gamut_excess(image).backward()
        assert image.grad.flatten().tolist() == pytest.approx([-1 / 3, 0, 1 / 3])

    def test_gradcheck(self):
        assert torch.autograd.gradcheck(gamut_excess, (3 * randn(1, 3, 3, 4)).requires_grad_())
