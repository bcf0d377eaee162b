import pytest
import torch

from lookcast.data.transforms import generators_of
from lookcast.generators.statistics import PLACES
from lookcast.segmenters.rough_masks import MAX_SHIFT, roughen
from tests.samples import randn

TOP, SIDE = 22, 18
"""A square whose borders lie between no blocks of 4 places."""


def square(labels=2):
    """A square of label 1 in the middle of label 0; further labels are absent."""
    mask = torch.zeros(1, labels, PLACES, PLACES, dtype=torch.float64)
    mask[:, 0] = 1
    mask[..., TOP : TOP + SIDE, TOP : TOP + SIDE] = 0
    mask[:, 1, TOP : TOP + SIDE, TOP : TOP + SIDE] = 1
    return mask


def many(mask, count=400, first=0):
    """Roughen one mask many times."""
    return roughen(mask.expand(count, -1, -1, -1), generators_of(range(first, first + count)))


def box(area):
    """Ends of the rows and of the columns that a hard region touches: `(top, bottom, left, right)`."""
    rows, columns = (area.amax(dim).nonzero().flatten() for dim in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def case_of(mask, original):
    """Name what happened to a mask of `square`."""
    if torch.equal(mask, original):
        return "unchanged"
    if set(mask.unique().tolist()) == {0.0, 1.0}:
        return "shifted" if mask[1].sum() == original[1].sum() else "grown"
    blocks = mask.unfold(1, 4, 4).unfold(2, 4, 4)
    return "coarse" if (blocks.amax((-2, -1)) == blocks.amin((-2, -1))).all() else "soft"


class TestRoughen:
    @pytest.mark.parametrize("kind", ["hard", "soft", "one label"])
    def test_labels_sum_to_one(self, kind):
        given = {
            "hard": square(3),
            "soft": randn(1, 3, PLACES, PLACES).softmax(1),
            "one label": torch.ones(1, 1, PLACES, PLACES).double(),
        }[kind]
        rough = many(given, 100)
        assert rough.shape == (100, *given.shape[1:])
        assert rough.dtype == given.dtype
        assert rough.min() >= -1e-15
        torch.testing.assert_close(rough.sum(1), torch.ones(100, PLACES, PLACES).double(), rtol=0, atol=1e-12)
        if kind == "one label":
            torch.testing.assert_close(rough, torch.ones_like(rough), rtol=0, atol=1e-12)

    def test_five_cases_are_equally_frequent(self):
        original = square()
        cases = [case_of(mask, original[0]) for mask in many(original)]
        names = ("unchanged", "grown", "shifted", "soft", "coarse")
        counts = {name: cases.count(name) for name in names}
        assert sum(counts.values()) == 400
        # 80 each; 6 % of the shifts are by nothing. Three standard deviations are 24.
        assert all(55 < count < 110 for count in counts.values()), counts

    def test_shifts_by_at_most_the_largest(self):
        original = square()
        shifts = {box(m[1])[::2] for m in many(original) if case_of(m, original[0]) == "shifted"}
        moves = [(top - TOP, left - TOP) for top, left in shifts]
        for axis in (0, 1):
            assert {move[axis] for move in moves} == set(range(-MAX_SHIFT, MAX_SHIFT + 1))
        assert len(moves) > 20  # in all directions

    def test_a_shifted_border_of_the_photo_continues(self):
        # Beyond the border, a mask continues: label 1 at the left edge stays there.
        mask = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
        mask[:, 1, :, :20], mask[:, 0, :, 20:] = 1, 1
        rough = many(mask, 100)
        assert torch.equal(rough[:, 1, :, : 20 - 2 * MAX_SHIFT], torch.ones(100, PLACES, 20 - 2 * MAX_SHIFT).double())
        assert not rough[:, 1, :, 20 + 2 * MAX_SHIFT :].any()

    def test_grows_by_at_most_the_largest_shift(self):
        original, seen = square(), set()
        for mask in many(original):
            if case_of(mask, original[0]) == "grown":
                top, bottom, left, right = box(mask[1])
                growth = TOP - top
                assert (bottom, left, right) == (TOP + SIDE + growth, TOP - growth, TOP + SIDE + growth)
                assert mask[1].sum() == (SIDE + 2 * growth) ** 2
                seen.add(growth)
        assert seen == {-3, -2, -1, 1, 2, 3} == {n for n in range(-MAX_SHIFT, MAX_SHIFT + 1) if n}

    def test_an_absent_label_changes_nothing_when_it_grows(self):
        original = square(3)
        rough = many(original, 100)
        assert not rough[:, 2].any()

    def test_soft_borders_keep_the_area(self):
        original = square()
        for mask in many(original, 100):
            if case_of(mask, original[0]) in ("soft", "coarse"):
                assert float(mask[1].sum()) == pytest.approx(SIDE**2, rel=1e-12)
                # Nothing reaches further than the largest shift, or a block.
                assert torch.equal(
                    mask[1, TOP + 4 : TOP + SIDE - 4, TOP + 4 : TOP + SIDE - 4].unique(), mask.new_ones(1)
                )
                assert float(mask[1, TOP - 4 : TOP + SIDE + 4, TOP - 4 : TOP + SIDE + 4].sum()) == pytest.approx(
                    SIDE**2
                )

    def test_depends_only_on_the_generator_of_the_mask(self):
        first, second = square(), square().flip(1)
        assert torch.equal(many(first, 40), many(first, 40))
        assert not torch.equal(many(first, 40), many(first, 40, first=40))
        for seed in range(20):
            alone = roughen(first, generators_of([seed]))
            among = roughen(torch.cat([second, first, second]), generators_of([seed + 1, seed, seed + 2]))
            assert torch.equal(among[1:2], alone)

    def test_leaves_the_mask_and_the_global_generator_unchanged(self):
        mask, state = square(), torch.get_rng_state()
        for seed in range(20):
            roughen(mask, generators_of([seed]))
        assert torch.equal(mask, square())
        assert torch.equal(torch.get_rng_state(), state)

    def test_rejects_another_number_of_generators(self):
        with pytest.raises(ValueError, match="zip"):
            roughen(square(), generators_of([0, 1]))
