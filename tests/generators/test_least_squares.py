import pytest
import torch
import torch.nn.functional as F

from lookcast.generators.least_squares import DAMPING, RIDGE, WINDOW, LeastSquares, LeastSquaresStep
from lookcast.generators.statistics import PLACES, photo_statistics
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_image, thumbnail_of
from tests.samples import CROPS, photo, rand, randn

DEPTH, CHANNELS = 8, 3
EXACT = 1e-9
"""Bound of identities in float64: sums of 49,152 terms of order 1, 1.1e-16 each, divided by variances above 1e-4."""
CONTENT, STYLE = (thumbnail_of(photo(name, whole=True), 128) for name in list(CROPS)[:2])
PLACE_COLORS = resize_image(CONTENT, PLACES, PLACES)
NOTHING, ALL = -1e4, 1e4
"""Logits of a share of 0 and of 1."""
WHOLE = torch.ones(1, 1, PLACES, PLACES, dtype=torch.float64)
LEFT = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
LEFT[:, 0, :, : PLACES // 2], LEFT[:, 1, :, PLACES // 2 :] = 1, 1


def solver(share=NOTHING, weight=0.0, steps=2):
    """Return a step with an equal share in all cells; `weight` is the logarithm of the weight of E."""
    made = LeastSquaresStep(CHANNELS, steps).double()
    made.start.data.fill_(share)
    made.weight.data.fill_(weight)
    return made


def grid_of(*offset):
    """Return a grid that adds an offset to every colour."""
    grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64)
    grid.view(3, 4, DEPTH, 16, 16)[:, 3] += torch.tensor(offset, dtype=torch.float64).view(3, 1, 1, 1)
    return grid


def correction(made, content, style, grid, masks=(WHOLE, WHOLE)):
    photos = [photo_statistics(image, {"relu1_1": image}, None, DEPTH) for image in (content, style)]
    with torch.no_grad():
        return made(grid, photos, masks, randn(1, CHANNELS, 16, 16), torch.full((3,), 1e-6, dtype=torch.float64))


def energy(content, change):
    """Return E, window by window: the mean squared residual of a ridge regression of the change on the colours."""
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
    problem = LeastSquares(PLACE_COLORS, identity_grid(1, DEPTH, 16, 16, dtype=torch.float64))

    def test_change_is_that_of_slicing(self):
        grid = randn(1, 12, DEPTH, 16, 16)
        expected = apply_grid(grid, PLACE_COLORS)
        assert (self.problem.change(grid) - expected).abs().max() < EXACT

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


class TestLeastSquaresStep:
    @pytest.mark.parametrize("steps", [1, 2, 4])
    def test_decreases_the_sum_of_squares(self, steps):
        grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64) + 0.1 * randn(1, 12, DEPTH, 16, 16)
        found = correction(solver(steps=steps), CONTENT, STYLE, grid)

        def value(grid):
            """Return J; the share is 0, so the wanted change is that of the grid."""
            changes = [apply_grid(g, PLACE_COLORS) - PLACE_COLORS for g in (start, grid)]
            distance = (changes[1] - changes[0]).square().sum() + DAMPING * (grid - start).square().sum()
            return distance + energy(PLACE_COLORS, changes[1])

        start = grid
        # Half the way along the step, the value is already lower, and lower still at its end.
        values = [value(start + share * found) for share in (0, 0.5, 1)]
        assert values[0] > values[1] > values[2]
        assert values[2] < 0.8 * values[0]

    def test_a_halo_on_flat_ground_becomes_weaker(self):
        flat = torch.full((1, 3, 128, 128), 0.6, dtype=torch.float64)
        grid = grid_of(0.1, 0.1, 0.1)
        grid.view(3, 4, DEPTH, 16, 16)[:, 3, :, 6:9, 6:9] += 0.1
        found = grid + correction(solver(weight=2.0, steps=4), flat, STYLE, grid)
        before, after = (apply_grid(g, flat).std() for g in (grid, found))
        assert after < 0.5 * before
        assert abs(apply_grid(found, flat).mean() - apply_grid(grid, flat).mean()) < 0.005

    def test_the_same_offset_everywhere_stays(self):
        grid = grid_of(0.1, -0.05, 0.02)
        assert correction(solver(weight=3.0), CONTENT, STYLE, grid).abs().max() < EXACT

    def test_a_locally_affine_change_stays(self):
        # The ridge takes a part of the slopes: 1e-4 of variances of 1e-2 and more.
        grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64)
        grid.view(3, 4, -1)[:, :3] *= 0.8
        found = correction(solver(weight=1.0), CONTENT, STYLE, grid)
        moved = apply_grid(grid + found, CONTENT) - apply_grid(grid, CONTENT)
        assert moved.abs().mean() < 0.02 * (apply_grid(grid, CONTENT) - CONTENT).abs().mean()

    def test_takes_the_mean_and_the_contrast_of_the_style(self):
        grid = grid_of(0, 0, 0)
        found = correction(solver(share=ALL, weight=-1e4, steps=20), CONTENT, STYLE, grid)
        before, after, style = (image.flatten(2) for image in (CONTENT, apply_grid(grid + found, CONTENT), STYLE))
        for figure in (lambda x: x.mean(2), lambda x: x.std(2)):
            assert (figure(after) - figure(style)).abs().max() < 0.25 * (figure(before) - figure(style)).abs().max()

    def test_regions_take_the_colours_of_their_own_region(self):
        content = torch.full((1, 3, 128, 128), 0.5, dtype=torch.float64)
        style = content.clone()
        style[..., :64], style[..., 64:] = 0.3, 0.6
        made = solver(share=ALL, weight=-1e4, steps=20)
        for masks, left, right in (((LEFT, LEFT), 0.3, 0.6), ((LEFT, LEFT.flip(1)), 0.6, 0.3)):
            grid = grid_of(0, 0, 0) + correction(made, content, style, grid_of(0, 0, 0), masks)
            image = apply_grid(grid, content)
            # Far from the border. A region of half the photo gets the share (.5 / .51)^2 = .96 of the change.
            assert (image[..., :48] - left).abs().max() < 0.012
            assert (image[..., 80:] - right).abs().max() < 0.012

    def test_a_region_of_few_pixels_hardly_changes(self):
        few = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
        few[:, 0, 0, 0], few[:, 1] = 1, 1
        few[:, 1, 0, 0] = 0
        grid = correction(solver(share=ALL, weight=-1e4), CONTENT, STYLE, grid_of(0, 0, 0), (few, few))
        one = correction(solver(share=ALL, weight=-1e4), CONTENT, STYLE, grid_of(0, 0, 0), (few[:, :1], few[:, :1]))
        assert grid.abs().max() > 0.1
        assert one.abs().max() < 0.02 * grid.abs().max()

    @pytest.mark.parametrize("labels", [1, 3])
    def test_a_photo_as_its_own_style_stays(self, labels):
        mask = F.interpolate(6 * randn(1, labels, 3, 3), (PLACES, PLACES)).softmax(1)
        made = solver(share=ALL, weight=2.0)
        assert correction(made, CONTENT, CONTENT, grid_of(0, 0, 0), (mask, mask)).abs().max() < EXACT

    def test_a_label_that_nothing_has(self):
        mask = torch.ones(1, 2, PLACES, PLACES, dtype=torch.float64)
        mask[:, 1] = 0
        made = solver(share=0.0)
        change = correction(made, CONTENT, STYLE, grid_of(0, 0, 0), (mask, mask))
        expected = correction(made, CONTENT, STYLE, grid_of(0, 0, 0))
        torch.testing.assert_close(change, expected, rtol=0, atol=EXACT)

    def test_unlabelled_places_keep_the_colours_of_the_grid(self):
        made = solver(share=ALL, weight=-1e4, steps=20)
        found = grid_of(0, 0, 0) + correction(made, CONTENT, STYLE, grid_of(0, 0, 0), (LEFT[:, :1], LEFT[:, :1]))
        moved = (apply_grid(found, CONTENT) - CONTENT).abs().mean(1)[0]
        assert moved[:, 80:].mean() < 0.1 * moved[:, :48].mean()

    def test_the_share_depends_on_masks_and_cells(self):
        made = solver(share=0.0)
        made.start.data[0] = NOTHING
        photos = [photo_statistics(image, {"relu1_1": image}, WHOLE, DEPTH) for image in (CONTENT, STYLE)]
        rest = ((WHOLE, WHOLE), randn(1, CHANNELS, 16, 16), torch.full((3,), 1e-6, dtype=torch.float64))
        with torch.no_grad():
            masked = made(grid_of(0, 0, 0), photos, *rest)
            made.share.weight.fill_(1.0)
            by_cell = made(grid_of(0, 0, 0), [photo._replace(mask=None) for photo in photos], *rest)
        unmasked = correction(solver(share=0.0), CONTENT, STYLE, grid_of(0, 0, 0))
        assert masked.abs().max() < EXACT
        assert (by_cell - unmasked).abs().max() > 0.01

    def test_gradients_of_all_parameters(self):
        made = solver(share=0.3, weight=0.4)
        photos = [photo_statistics(image, {"relu1_1": image}, None, DEPTH) for image in (CONTENT, STYLE)]
        grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64) + 0.1 * randn(1, 12, DEPTH, 16, 16)
        hidden, floor = randn(1, CHANNELS, 16, 16), torch.full((3,), 1e-4, dtype=torch.float64)

        def value(start, weight, share):
            with torch.no_grad():
                made.share.weight.copy_(share)
            parameters = {"start": start, "weight": weight, "share.weight": share}
            inputs = (grid, photos, (WHOLE, WHOLE), hidden, floor)
            return torch.func.functional_call(made, parameters, inputs).square().sum()

        inputs = [parameter.detach().clone().requires_grad_() for parameter in (made.start, made.weight)]
        share = (0.1 * randn(1, CHANNELS, 1, 1, seed=2)).requires_grad_()
        assert torch.autograd.gradcheck(value, (*inputs, share), atol=1e-6)
