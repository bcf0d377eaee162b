import pytest
import torch
import torch.nn.functional as F

from lookcast.generators.least_squares import DAMPING, LeastSquares, LeastSquaresStep, matched
from lookcast.generators.statistics import PLACES, photo_statistics
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_image, thumbnail_of
from tests.generators.test_least_squares import CONTENT, DEPTH, EXACT, LEFT, PLACE_COLORS, WHOLE, energy
from tests.samples import photo, rand, randn

CHANNELS = 3
STYLE = thumbnail_of(photo("chelsea", whole=True), 128)
NOTHING, ALL = -1e4, 1e4
"""Logits of a share of 0 and of 1."""


def solver(share=NOTHING, weight=0.0, steps=2):
    """Return a step with an equal share in all cells, given its logit and the logarithm of the weight of E."""
    made = LeastSquaresStep(CHANNELS, steps).double()
    made.share_bias.data.fill_(share)
    made.log_weight.data.fill_(weight)
    return made


def grid_of(*offset):
    """Return a grid that adds an offset to every colour."""
    grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64)
    grid.view(3, 4, DEPTH, 16, 16)[:, 3] += torch.tensor(offset, dtype=torch.float64).view(3, 1, 1, 1)
    return grid


def correction(made, content, style, grid, masks=(WHOLE, WHOLE)):
    photos = [photo_statistics(image, {"relu1_1": image}, None, DEPTH) for image in (content, style)]
    with torch.no_grad():
        return made(grid, photos, masks, randn(1, CHANNELS, 16, 16))


class TestLeastSquaresStep:
    @pytest.mark.parametrize("steps", [1, 2, 4])
    def test_decreases_the_sum_of_squares(self, steps):
        identity = grid_of(0, 0, 0)
        grid = identity + 0.1 * randn(1, 12, DEPTH, 16, 16)
        found = correction(solver(steps=steps), CONTENT, STYLE, grid)
        shares = photo_statistics(CONTENT, {"relu1_1": CONTENT}, None, DEPTH).shares
        problem = LeastSquares(PLACE_COLORS, shares, 16)

        def value(grid):
            """Return J; the share is 0, so the wanted change is that of the grid."""
            changes = [problem.change(g - identity) for g in (start, grid)]
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

    def test_takes_the_matched_colours(self):
        grid = grid_of(0, 0, 0)
        found = correction(solver(share=ALL, weight=-1e4, steps=20), CONTENT, STYLE, grid)
        output, style = (resize_image(x, PLACES, PLACES) for x in (apply_grid(grid + found, CONTENT), STYLE))
        wanted = matched(PLACE_COLORS, style, (WHOLE, WHOLE)).clamp(0, 1)
        assert (output - wanted).abs().mean() < 0.1 * (PLACE_COLORS - wanted).abs().mean()

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

    def test_counts_what_the_grid_already_does(self):
        # The grid already gives the output the colours of the style; nothing is missing.
        content = torch.full((1, 3, 128, 128), 0.5, dtype=torch.float64)
        made = solver(share=ALL, weight=-1e4, steps=4)
        found = correction(made, content, content - 0.2, grid_of(-0.2, -0.2, -0.2))
        assert found.abs().max() < EXACT
        assert correction(made, content, content - 0.2, grid_of(0, 0, 0)).abs().max() > 0.05

    def test_targets_are_colours(self):
        # The wanted colour of a star in a dark sky would be far above white.
        content = torch.full((1, 3, 128, 128), 0.02, dtype=torch.float64)
        content[..., 60:64, 60:64] = 1
        style = rand(1, 3, 128, 128)
        grid = grid_of(0, 0, 0)
        image = apply_grid(grid + correction(solver(share=ALL, weight=-1e4, steps=30), content, style, grid), content)
        assert matched(*(resize_image(x, PLACES, PLACES) for x in (content, style)), (WHOLE, WHOLE)).max() > 1.3
        assert image.max() < 1.1

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

    @pytest.mark.parametrize("name", ["share_bias", "log_weight"])
    @pytest.mark.parametrize("kind", [0, 1])
    def test_parameters_for_photos_with_and_without_masks(self, name, kind):
        made, grid = solver(share=0.0), grid_of(0, 0, 0) + 0.1 * randn(1, 12, DEPTH, 16, 16)
        photos = [photo_statistics(image, {"relu1_1": image}, WHOLE, DEPTH) for image in (CONTENT, STYLE)]
        if kind == 1:
            photos = [photo._replace(mask=None) for photo in photos]

        def found():
            with torch.no_grad():
                return made(grid, photos, (WHOLE, WHOLE), randn(1, CHANNELS, 16, 16))

        before = found()
        getattr(made, name).data[1 - kind] += 1
        assert torch.equal(found(), before)
        getattr(made, name).data[kind] += 1
        assert (found() - before).abs().max() > 0.01

    def test_the_share_depends_on_the_cell(self):
        made = solver(share=0.0)
        before = correction(made, CONTENT, STYLE, grid_of(0, 0, 0))
        made.share.weight.data.fill_(1.0)
        assert (correction(made, CONTENT, STYLE, grid_of(0, 0, 0)) - before).abs().max() > 0.01

    def test_gradients_of_all_parameters(self):
        made = solver(share=0.3, weight=0.4)
        photos = [photo_statistics(image, {"relu1_1": image}, None, DEPTH) for image in (CONTENT, STYLE)]
        grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64) + 0.1 * randn(1, 12, DEPTH, 16, 16)
        hidden = randn(1, CHANNELS, 16, 16)

        def value(bias, weight, share):
            parameters = {"share_bias": bias, "log_weight": weight, "share.weight": share}
            inputs = (grid, photos, (WHOLE, WHOLE), hidden)
            return torch.func.functional_call(made, parameters, inputs).square().sum()

        inputs = [parameter.detach().clone().requires_grad_() for parameter in (made.share_bias, made.log_weight)]
        share = (0.1 * randn(1, CHANNELS, 1, 1, seed=2)).requires_grad_()
        assert torch.autograd.gradcheck(value, (*inputs, share), atol=1e-6)
