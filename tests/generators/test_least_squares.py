import pytest
import torch
import torch.nn.functional as F

from lookcast.generators.least_squares import (
    DAMPING,
    FLAT,
    RIDGE,
    WINDOW,
    LeastSquares,
    inverse_with_ridge,
    matched,
)
from lookcast.generators.statistics import PLACES, depth_shares, photo_statistics
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_image, thumbnail_of
from tests.samples import photo, rand, randn

DEPTH = 8
EXACT = 1e-9
"""Bound of identities in float64: sums of 49,152 terms of order 1, 1.1e-16 each, divided by variances above 1e-4."""
CONTENT = thumbnail_of(photo("astronaut", whole=True), 128)
PLACE_COLORS = resize_image(CONTENT, PLACES, PLACES)
WHOLE = torch.ones(1, 1, PLACES, PLACES, dtype=torch.float64)
LEFT = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
LEFT[:, 0, :, : PLACES // 2], LEFT[:, 1, :, PLACES // 2 :] = 1, 1


def energy(content, change):
    """Return E, window by window, from a ridge regression of the change on the colours."""
    total = 0.0
    windows = [F.unfold(image, WINDOW)[0].unflatten(0, (3, -1)) for image in (content, change)]
    for guide, values in zip(*(window.unbind(2) for window in windows), strict=True):
        guide, values = (x - x.mean(1, keepdim=True) for x in (guide, values))
        covariance = guide @ guide.T / WINDOW**2 + RIDGE * torch.eye(3, dtype=guide.dtype)
        slopes = torch.linalg.solve(covariance, guide @ values.T / WINDOW**2)
        residual = values - slopes.T @ guide
        total = total + residual.square().sum() / WINDOW**2 + RIDGE * slopes.square().sum()
    return total


class TestLeastSquares:
    problem = LeastSquares(PLACE_COLORS, depth_shares(luma(PLACE_COLORS), DEPTH), 16)

    def test_change_is_that_of_slicing(self):
        grid = randn(1, 12, DEPTH, 16, 16)
        expected = apply_grid(grid, PLACE_COLORS)
        assert (self.problem.change(grid) - expected).abs().max() < EXACT

    def test_change_of_a_place_is_the_mean_over_its_pixels(self):
        # Noise finer than a place: its pixels lie in other luma steps than their mean colour.
        noise = (0.5 + 0.2 * randn(1, 1, 256, 256)).clamp(0, 1).expand(1, 3, -1, -1)
        shares = photo_statistics(noise, {"relu1_1": noise}, None, DEPTH).shares
        grid = torch.zeros(1, 3, 4, DEPTH, 16, 16, dtype=torch.float64)
        grid[:, :, 3] = 0.1 * randn(DEPTH, 1, 1, seed=1)  # offsets alone, as a place has one mean colour
        grid = grid.flatten(1, 2)
        found = LeastSquares(resize_image(noise, PLACES, PLACES), shares, 16).change(grid)
        expected = F.avg_pool2d(apply_grid(grid, noise), 4)
        assert expected.std() > 0.01
        assert (found - expected).abs().max() < EXACT

    def test_gather_is_the_transpose_of_change(self):
        grid, colors = randn(1, 12, DEPTH, 16, 16), randn(1, 3, PLACES, PLACES, seed=1)
        one, other = (self.problem.change(grid) * colors).sum(), (grid * self.problem.gather(colors)).sum()
        assert abs(one - other) < 1e-12 * grid.norm() * colors.norm()

    def test_residual_is_half_the_gradient_of_the_energy(self):
        change = rand(1, 3, PLACES, PLACES).requires_grad_()
        energy(PLACE_COLORS, change).backward()
        assert (self.problem.residual(change.detach()) - change.grad / 2).abs().max() < EXACT

    def test_conjugate_gradients_reach_the_minimum(self):
        right, weight = randn(1, 12, DEPTH, 16, 16), torch.tensor(2.0)

        def left_over(steps):
            found = self.problem.solve(right, weight, steps)
            change = self.problem.change(found)
            product = self.problem.gather(change + weight * self.problem.residual(change)) + DAMPING * found
            return (right - product).norm() / right.norm()

        assert left_over(200) < 1e-4

    def test_the_diagonal_speeds_up_the_method(self):
        # Without a preconditioner, .20 would be left over.
        right, weight = self.problem.gather(randn(1, 3, PLACES, PLACES)), torch.tensor(0.0)
        found = self.problem.solve(right, weight, 10)
        left = right - self.problem.gather(self.problem.change(found)) - DAMPING * found
        assert left.norm() < 0.1 * right.norm()


class TestInverseWithRidge:
    def test_matches_the_inverse(self):
        half = randn(2, 5, 6, 3, 3)
        covariance = (half @ half.transpose(-1, -2)).permute(0, 3, 4, 1, 2)
        ridge = RIDGE * torch.eye(3, dtype=torch.float64)
        expected = torch.linalg.inv(half @ half.transpose(-1, -2) + ridge).permute(0, 3, 4, 1, 2)
        torch.testing.assert_close(inverse_with_ridge(covariance, RIDGE), expected, rtol=1e-7, atol=0)

    def test_in_float32(self):
        # A grey photo: one large variance. Cofactors in float32 would be off by .8 %.
        grey = torch.full((1, 3, 3, 1, 1), 0.08) + 1e-7 * torch.eye(3).view(1, 3, 3, 1, 1)
        expected = inverse_with_ridge(grey.double(), RIDGE).float()
        torch.testing.assert_close(inverse_with_ridge(grey, RIDGE), expected, rtol=1e-6, atol=0)

    @pytest.mark.parametrize("ridge", [RIDGE, 20 * RIDGE])
    def test_a_lost_variance(self, ridge):
        # Rounding made the covariance indefinite.
        lost = inverse_with_ridge(torch.diag(torch.tensor([0.01, 0.01, -2 * ridge])).view(1, 3, 3, 1, 1), ridge)
        assert lost.abs().max() == pytest.approx((0.01 + ridge) ** 2 / ridge**3, rel=0.01)


class TestMatched:
    def test_known_value(self):
        output = torch.full((1, 3, PLACES, PLACES), 0.5, dtype=torch.float64)
        style = output.clone()
        style[..., : PLACES // 2] = 0.2
        found = matched(output, style, (LEFT, LEFT))
        trust = (0.5 / 0.51) ** 2  # the regions cover half of both photos
        assert (found[..., : PLACES // 2] - (0.5 - 0.3 * trust)).abs().max() < EXACT
        assert (found[..., PLACES // 2 :] - 0.5).abs().max() < EXACT

    def test_contrast(self):
        # Grey: the colours are multiples of (1, 1, 1), so only the luma axis has a variance.
        output, style = (0.5 + spread * randn(1, 1, PLACES, PLACES).expand(1, 3, -1, -1) for spread in (0.05, 0.1))
        found = matched(output, style, (WHOLE, WHOLE))
        gain = ((style.var(correction=0) + FLAT) / (output.var(correction=0) + FLAT)).sqrt()
        expected = output + (style.mean() + gain * (output - output.mean()) - output) * (1 / 1.01) ** 2
        assert (found - expected).abs().max() < EXACT

    @pytest.mark.parametrize("place", [0, 1])
    def test_a_region_that_is_small_in_one_photo(self, place):
        output, style = (torch.full((1, 3, PLACES, PLACES), value, dtype=torch.float64) for value in (0.5, 0.2))
        small = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
        small[:, 1], small[:, :, 0] = 1, 0
        small[:, 0, 0, :], small[:, 1, 0, 32:] = 0, 1
        small[:, 0, 0, :32] = 1  # 32 of 4,096 places
        masks = [LEFT, LEFT]
        masks[place] = small
        found = matched(output, style, tuple(masks))
        share = 32 / PLACES**2
        trust = share / (share + 0.01) * (0.5 / 0.51)
        assert (found[0, :, 0, 0] - (0.5 - 0.3 * trust)).abs().max() < EXACT

    def test_one_style_for_many_contents(self):
        outputs, style = rand(3, 3, PLACES, PLACES), rand(1, 3, PLACES, PLACES, seed=1)
        masks = (LEFT.expand(3, -1, -1, -1), LEFT)
        together = matched(outputs, style, masks)
        alone = [matched(output[None], style, (LEFT, LEFT)) for output in outputs]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=EXACT)
