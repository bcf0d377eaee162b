import pytest
import torch

from lookcast.generators.groups import Group, color_maps
from lookcast.generators.regions import region_sizes
from lookcast.generators.robust_map import robust_change
from lookcast.generators.stages import GridStages
from lookcast.generators.statistics import CELLS
from lookcast.ops.bilateral.reference import identity_grid
from tests.looks import ALL_PARTS, NO_PARTS, universal_look
from tests.samples import CROPS, photo, rand

CONTENT, STYLE = (photo(name) for name in list(CROPS)[:2])
SHARING = pytest.mark.parametrize("ground_channels", [0, 8])
EXACT = 1e-12
"""Bound of sums in float64: at most 65,536 terms of order 1, 1.1e-16 each."""


def small(**arguments):
    """Return a universal generator in float64; thumbnails have 64 px, as convolutions in float64 are slow."""
    made = universal_look(heads=3, **arguments).double()
    made.thumbnail = made.unmasked_thumbnail = 64
    return made


def stages_of(made, *masks):
    with torch.no_grad():
        content, style = (
            made.read(image, mask) for image, mask in zip((CONTENT, STYLE), masks or (None, None), strict=True)
        )
        return made.predict_stages(content, style), made.predict_grid(content, style)


def halves(axis):
    """The first half of a photo along an axis, and the second."""
    mask = torch.zeros(1, 2, 64, 64, dtype=torch.float64)
    first = mask[:, :, :32] if axis == 2 else mask[:, :, :, :32]
    mask[:, 1] = 1
    first[:, 0], first[:, 1] = 1, 0
    return mask


class TestPredictStages:
    @pytest.mark.parametrize("parts", [NO_PARTS, ALL_PARTS, *({name: size} for name, size in ALL_PARTS.items())])
    @pytest.mark.parametrize("masked", [False, True])
    def test_stages_add_up_to_the_grid_that_is_applied(self, parts, masked):
        made = small(**parts)
        stages, grid = stages_of(made, *((halves(2), halves(3)) if masked else ()))
        assert torch.equal(stages.grid, grid)
        changes = stages.changes()
        expected = ["carried", "learned"]
        if made.grounds is not None:
            expected = ["carried", "shared", "learned", "learned_shared"]
        last = {"toned": made.tones, "solved": made.solver, "robust": made.robust}
        assert list(changes) == expected + [name for name, part in last.items() if part is not None]
        assert all(change.abs().max() > 1e-6 for change in changes.values())
        total = identity_grid(1, made.depth, CELLS, CELLS, dtype=torch.float64) + sum(changes.values())
        assert (total - grid).abs().max() < EXACT

    @pytest.mark.parametrize("masked", [False, True])
    def test_the_robust_map_is_that_of_the_groups(self, masked):
        made = small(**ALL_PARTS)
        assert made.robust.steps == 3
        stages, grid = stages_of(made, *((halves(2), halves(3)) if masked else ()))
        sizes, of_content = region_sizes(stages.content_regions), stages.content_group
        maps = color_maps(sizes, of_content, stages.style_group, made.floor.exp(), whole=True)
        changes = maps[:, :3] - torch.eye(4, dtype=torch.float64)[:3].flatten()
        weights = made.robust.heads.softmax(0).view(-1, 1, 1) * sizes[:, None]
        with torch.no_grad():
            found, _ = robust_change(of_content.moments, changes, weights, 3)
        # The grid lies between the grid before and the map.
        end = identity_grid(1, 1, 1, 1, dtype=torch.float64) + found[..., None, None, None]
        before = grid - stages.corrections["robust"]
        share = ((grid - before) / (end - before)).flatten()
        assert share.std() < 1e-6
        assert 0.01 < share.mean() < 0.99

    def test_without_sharing_nothing_is_shared(self):
        stages, _ = stages_of(small())
        assert stages.grounds is None
        assert stages.shared is stages.carried
        assert stages.learned_shared is stages.learned

    @SHARING
    def test_shares_and_rows_sum_to_one(self, ground_channels):
        stages, _ = stages_of(small(ground_channels=ground_channels))
        maps = 3 + (2 if ground_channels else 0)
        assert stages.mix.shape == (1, maps, CELLS**2)
        assert (stages.mix.sum(1) - 1).abs().max() < EXACT
        assert stages.attention().shape == (1, CELLS**2, CELLS**2)
        assert (stages.attention().sum(-1) - 1).abs().max() < EXACT
        if ground_channels:
            assert (stages.grounds.weights.sum(-1) - 1).abs().max() < EXACT

    def test_masks_bound_the_attention(self):
        stages, _ = stages_of(small(), halves(2), halves(3))
        attention = stages.attention()[0].view(CELLS, CELLS, CELLS, CELLS)
        half = CELLS // 2
        # The upper half of the content takes its colours from the left half of the style.
        assert attention[:half, :, :, half:].abs().max() == 0
        assert attention[half:, :, :, :half].abs().max() == 0
        assert (attention[:half, :, :, :half].sum((2, 3)) - 1).abs().max() < EXACT

    def test_a_label_that_the_style_lacks_attends_to_all_of_it(self):
        mask = torch.zeros(1, 2, 64, 64, dtype=torch.float64)
        mask[:, 0] = 1
        stages, _ = stages_of(small(), halves(2), mask)
        assert (stages.attention() > 0).all()
        assert torch.equal(stages.style_regions[:, 1], torch.ones(1, 64, 64, dtype=torch.float64))

    def test_a_cell_without_a_label_attends_to_nothing(self):
        mask = halves(2)
        mask[:, :, :4, :4] = 0
        stages, _ = stages_of(small(), mask, halves(3))
        rows = stages.attention().sum(-1)[0]
        assert rows[0] == 0
        assert (rows[1:] - 1).abs().max() < EXACT


class TestAttention:
    def test_known_value(self):
        weights = rand(1, 2, 3, 3)
        empty = torch.empty(0)
        mix = torch.tensor([[[0.5, 0.0, 0.125], [0.25, 1.0, 0.375], [0.25, 0.0, 0.5]]], dtype=torch.float64)
        group = Group(empty, weights)
        stages = GridStages(empty, empty, group, group, mix, *(empty,) * 5, None, {}, empty)
        expected = torch.stack(
            [
                (2 * weights[0, 0, 0] + weights[0, 1, 0]) / 3,
                weights[0, 1, 1],
                (weights[0, 0, 2] + 3 * weights[0, 1, 2]) / 4,
            ]
        )
        assert (stages.attention()[0] - expected).abs().max() < EXACT
