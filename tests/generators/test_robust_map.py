import math

import numpy as np
import pytest
import torch

from lookcast.generators.robust_map import NOISE, RIDGE, SCALE, SPREAD, RobustMap, robust_change
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.transport import color_moments
from tests.samples import rand, randn

GROUPS, PIXELS, CHANNELS, DEPTH = 40, 12, 5, 3
EXACT = 1e-11
"""Bound of sums and solutions in float64: the ridge bounds the condition number by 1e3."""
IDENTITY = torch.eye(4, dtype=torch.float64)[:3]
GRADE = torch.tensor([[0.3, 0.1, 0, -0.05], [0, -0.2, 0.05, 0.1], [0.1, 0, 0.2, 0]], dtype=torch.float64)
"""A change of colour, `(3, 4)`."""
COLORS = rand(1, 3, GROUPS, PIXELS)
MOMENTS = color_moments(COLORS).mean(3).transpose(1, 2)  # (1, N, 10)
WEIGHTS = 0.5 + rand(1, GROUPS, seed=1)


def with_outliers(share):
    """The changes of the groups, `(1, N, 12)`: a share of them has another change than `GRADE`."""
    changes = GRADE.expand(GROUPS, 3, 4).clone()
    others = int(share * GROUPS)
    changes[:others] = 0.3 + 0.2 * randn(others, 3, 4, seed=2)
    return changes.flatten(1)[None]


def fit_of_pixels(changes, weights):
    """Solve the weighted least-squares problem pixel by pixel; the ridge draws the slopes to the gain."""
    rows, wanted = [], []
    total = (weights / weights.sum())[0]
    pixels = COLORS[0].permute(1, 2, 0)  # (N, pixels, 3)
    centre = (total[:, None] * pixels.mean(1)).sum(0)
    one = torch.ones(1, dtype=torch.float64)
    for group, change, weight in zip(pixels, changes[0].view(-1, 3, 4), total, strict=True):
        mean = group.mean(0)
        points = [(torch.cat([mean, one]), weight)]
        points += [(torch.cat([x - mean, 0 * one]), SPREAD * weight / PIXELS) for x in group]
        for x, factor in points:
            rows.append(factor.sqrt() * x)
            wanted.append(factor.sqrt() * (change @ x))
    # The offset is that at the mean colour of all groups, so that the ridge does not move it.
    rows, wanted = torch.stack(rows), torch.stack(wanted)
    rows = torch.cat([rows[:, :3] - rows[:, 3:] * centre, rows[:, 3:]], 1)
    offset = (rows[:, 3:] * wanted).sum(0)
    gain = (rows[:, :3] * (wanted - rows[:, 3:] * offset)).sum() / (rows[:, :3].square().sum() + NOISE)
    ridge = RIDGE**0.5 * torch.eye(4, dtype=torch.float64)[:3]
    rows, wanted = torch.cat([rows, ridge]), torch.cat([wanted, gain * ridge[:, :3]])
    found = torch.from_numpy(np.linalg.lstsq(rows.numpy(), wanted.numpy(), rcond=None)[0]).T
    return torch.cat([found[:, :3], found[:, 3:] - found[:, :3] @ centre[:, None]], 1)


def distances(found, changes):
    """The mean squared distances of a change from those of the groups, over their pixels."""
    pixels = torch.cat([COLORS[0], torch.ones(1, GROUPS, PIXELS, dtype=torch.float64)]).permute(1, 0, 2)
    moved = (found - changes[0].view(-1, 3, 4)) @ pixels  # (N, 3, pixels)
    mean = moved.mean(2, keepdim=True)
    return mean.square().sum((1, 2)) + SPREAD * (moved - mean).square().sum(1).mean(1)


class TestRobustChange:
    def test_steps_match_problems_of_pixels(self):
        changes, weights = with_outliers(0.4), WEIGHTS
        for steps in (1, 2, 3):
            expected = fit_of_pixels(changes, weights)
            weights = WEIGHTS / (1 + distances(expected, changes) / SCALE**2)
            found, consensus = robust_change(MOMENTS, changes, WEIGHTS, steps)
            assert (found.view(3, 4) - expected).abs().max() < EXACT
            assert (consensus - weights.sum() / WEIGHTS.sum()).abs() < EXACT

    @pytest.mark.parametrize("share", [0.1, 0.3])
    def test_finds_the_change_of_the_majority(self, share):
        found, consensus = robust_change(MOMENTS, with_outliers(share), WEIGHTS, 20)
        plain, _ = robust_change(MOMENTS, with_outliers(share), WEIGHTS, 1)
        # Without outliers, the ridge already costs .006.
        clean, _ = robust_change(MOMENTS, with_outliers(0), WEIGHTS, 1)
        error, of_plain, of_clean = ((x.view(3, 4) - GRADE).abs().max() for x in (found, plain, clean))
        assert error < of_clean + 0.003
        assert of_plain > 10 * error
        agreeing = WEIGHTS[0, int(share * GROUPS) :].sum() / WEIGHTS.sum()
        assert agreeing - 0.02 < consensus < agreeing + 0.02

    def test_all_matches_agree(self):
        found, consensus = robust_change(MOMENTS, torch.zeros(1, GROUPS, 12, dtype=torch.float64), WEIGHTS, 3)
        assert not found.any()
        assert consensus == pytest.approx(1, abs=1e-14)

    @pytest.mark.parametrize("contrast", [1, 0.1, 0.03])
    def test_a_photo_of_little_contrast_gets_the_contrast(self, contrast):
        # Grey squeezed to a few levels, and a gain of 2 on which all groups agree.
        moments = color_moments(0.5 + contrast * (COLORS - 0.5)).mean(3).transpose(1, 2)
        change = torch.cat([IDENTITY[:, :3], torch.full((3, 1), -0.5, dtype=torch.float64)], 1)
        found, consensus = robust_change(moments, change.expand(1, GROUPS, 3, 4).flatten(2), WEIGHTS, 3)
        # NOISE takes a part of the gain: 1e-5 of the sum of three variances, which is 7e-4 at the lowest contrast.
        assert (found.view(3, 4) - change).abs().max() < 0.015
        assert consensus > 0.999

    def test_a_flat_photo(self):
        changes = with_outliers(0).requires_grad_()
        moments = color_moments(torch.full_like(COLORS, 0.3)).mean(3).transpose(1, 2).requires_grad_()
        found, consensus = robust_change(moments, changes, WEIGHTS, 3)
        # Only the new colour of the one colour is known, and no slope.
        moved = found.view(3, 4) @ torch.tensor([0.3, 0.3, 0.3, 1], dtype=torch.float64)
        assert (moved - GRADE @ torch.tensor([0.3, 0.3, 0.3, 1], dtype=torch.float64)).abs().max() < EXACT
        assert (consensus - 1).abs() < 1e-12
        (found.sum() + consensus.sum()).backward()
        assert moments.grad.isfinite().all()
        assert changes.grad.abs().max() > 1e-3

    def test_flat_groups_in_float32(self):
        # Rounding makes some distances negative.
        moments = color_moments(torch.full_like(COLORS, 0.7).float()).mean(3).transpose(1, 2)
        _, consensus = robust_change(moments, with_outliers(0).float(), WEIGHTS.float(), 3)
        assert 1 - 1e-3 < consensus < 1 + 1e-6

    def test_each_photo_has_its_own_map(self):
        changes = torch.cat([with_outliers(0.2), with_outliers(0.5)])
        found, consensus = robust_change(MOMENTS.expand(2, -1, -1), changes, WEIGHTS.expand(2, -1), 4)
        for n in range(2):
            expected = robust_change(MOMENTS, changes[n : n + 1], WEIGHTS, 4)
            assert (found[n] - expected[0][0]).abs().max() < EXACT
            assert (consensus[n] - expected[1][0]).abs() < EXACT

    def test_groups_without_weight_do_not_count(self):
        changes, weights = with_outliers(0.5), WEIGHTS.clone()
        weights[:, : GROUPS // 2] = 0
        moments = MOMENTS.clone()
        moments[:, 0] = 0  # a region that no pixel has
        found, consensus = robust_change(moments, changes, weights, 4)
        expected, _ = robust_change(MOMENTS[:, GROUPS // 2 :], changes[:, GROUPS // 2 :], WEIGHTS[:, GROUPS // 2 :], 4)
        assert (found - expected).abs().max() < EXACT
        assert consensus > 0.99

    def test_no_group_has_weight(self):
        changes, weights = with_outliers(0.5).requires_grad_(), torch.zeros_like(WEIGHTS)
        found, consensus = robust_change(MOMENTS, changes, weights, 3)
        assert not found.any()
        assert consensus == 0
        found.sum().backward()
        assert not changes.grad.any()

    def test_float32_has_enough_digits(self):
        inputs = [MOMENTS, with_outliers(0.3), WEIGHTS]
        wide, narrow = (robust_change(*(x.to(t) for x in inputs), 4) for t in (torch.float64, torch.float32))
        assert (wide[0] - narrow[0]).abs().max() < 1e-4
        assert (wide[1] - narrow[1]).abs().max() < 1e-4


def module(bias=0.0, slope=0.0, heads=2):
    made = RobustMap(CHANNELS, heads, 4).double()
    made.share_bias.data.fill_(bias)
    made.share_slope.data.fill_(slope)
    return made


def inputs(masked=False, heads=2):
    """The inputs of a module: two heads and two regions; the second head has other maps."""
    grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64) + 0.1 * randn(1, 12, DEPTH, 16, 16)
    sizes = torch.zeros(1, 256, 2, dtype=torch.float64)
    sizes[:, :64, 0], sizes[:, 64:, 1] = 16, 16  # region 0 is the upper quarter
    colors = rand(1, 3, heads * 256 * 2, PIXELS)
    moments = color_moments(colors).mean(3).transpose(1, 2).view(1, heads, 256, 2, 10)
    changes = torch.stack([GRADE, -GRADE])[:, None, None].expand(heads, 256, 2, 3, 4).clone()
    changes[:, :128, 0] = 0.2  # region 0 has another change, and in cells 64 to 127 no pixels
    maps = (IDENTITY + changes).flatten(-2)[None]
    maps = torch.cat([maps, maps[:, :1] + 5], 1)  # a map of the whole photo follows, which is not a match
    regions = rand(1, 2, DEPTH, 16, 16)
    regions = regions / regions.sum(1, keepdim=True)
    return grid, masked, regions, sizes, moments, maps, randn(1, CHANNELS, 16, 16)


def one_head(made, head=0):
    made.heads.data = torch.full((2,), -50.0, dtype=torch.float64)
    made.heads.data[head] = 50
    return made


class TestRobustMap:
    @pytest.mark.parametrize(("head", "grade"), [(0, GRADE), (1, -GRADE)])
    def test_at_a_share_of_one_all_cells_have_the_map(self, head, grade):
        given = inputs()
        with torch.no_grad():
            found = given[0] + one_head(module(bias=1e4), head)(*given)
        assert (found - found[..., :1, :1, :1]).abs().max() < EXACT
        # Three quarters of the photo agree on the grade. The others stay aside; the ridge takes up to .006.
        assert (found[0, :, 0, 0, 0].view(3, 4) - IDENTITY - grade).abs().max() < 0.008

    def test_the_share_grows_with_the_consensus(self):
        given = inputs()
        _, _, _, sizes, moments, maps, hidden = given
        made = one_head(module(bias=1.0, slope=2.0))
        made.share.weight.data[1] = 1
        with torch.no_grad():
            ratio = made(*given) / one_head(module(bias=1e4))(*given)
            consensus = robust_change(moments[:, :1], maps[:, :1] - IDENTITY.flatten(), sizes[:, None], 4)[1]
        expected = 1 / (1 + torch.exp(-(1 + 2 * consensus.log() + hidden.sum(1).mean())))
        assert (ratio - expected).abs().max() < 1e-9
        assert 0.7 < consensus < 0.8
        assert abs(hidden.sum(1).mean()) > 0.01

    def test_areas_without_a_label_stay(self):
        given = list(inputs(masked=True))
        given[2] = given[2].clone()
        given[2][..., 5:9] = 0
        with torch.no_grad():
            found = module(bias=1e4)(*given)
        assert not found[..., 5:9].any()
        assert found[..., :5].abs().min() > 0

    def test_a_photo_that_no_map_fits(self):
        given = list(inputs())
        given[3] = torch.zeros_like(given[3])
        made = module(bias=2.0, slope=2.0)
        found = made(*given)
        assert found.abs().max() < 1e-20
        found.sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in made.parameters())

    @pytest.mark.parametrize("name", ["share_bias", "share_slope", "share.weight"])
    @pytest.mark.parametrize("masked", [False, True])
    def test_parameters_for_photos_with_and_without_masks(self, name, masked):
        made, given, kind = module(bias=1.0, slope=1.0), inputs(masked), 0 if masked else 1
        parameter = dict(made.named_parameters())[name]

        def found():
            with torch.no_grad():
                return made(*given)

        before = found()
        parameter.data[1 - kind] += 1
        assert torch.equal(found(), before)
        parameter.data[kind] += 1
        assert (found() - before).abs().max() > 1e-3

    def test_a_photo_as_its_own_style_stays(self):
        _, masked, regions, sizes, moments, maps, hidden = inputs()
        identity, same = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64), IDENTITY.flatten().expand_as(maps)
        with torch.no_grad():
            assert module(bias=2.0)(identity, masked, regions, sizes, moments, same, hidden).abs().max() < EXACT

    def test_new_shares(self):
        made = RobustMap(CHANNELS, 2, 4)
        shares = [(made.share_bias + made.share_slope * math.log(q)).sigmoid().tolist() for q in (0.1, 0.27, 1)]
        assert shares[0] == pytest.approx([0.12, 0.5], abs=0.01)
        assert shares[1] == pytest.approx([0.5, 0.88], abs=0.01)
        assert shares[2] == pytest.approx([0.93, 0.99], abs=0.01)

    def test_gradients_of_all_parameters(self):
        made, given = module(bias=0.3, slope=0.4), inputs()

        def value(*values):
            parameters = dict(zip(dict(made.named_parameters()), values, strict=True))
            return torch.func.functional_call(made, parameters, given).square().sum()

        assert torch.autograd.gradcheck(value, [p.detach().clone().requires_grad_() for p in made.parameters()])

    def test_gradients_of_moments_and_maps(self):
        changes = with_outliers(0.3)

        def value(moments, changes):
            found, consensus = robust_change(moments, changes, WEIGHTS, 3)
            return found.square().sum() + consensus.sum()

        assert torch.autograd.gradcheck(value, (MOMENTS.clone().requires_grad_(), changes.requires_grad_()), atol=1e-5)
