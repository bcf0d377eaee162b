from collections import Counter
from itertools import islice, pairwise, permutations

import pytest

from lookcast.data.sampling import PositionBatches, seed_of, shuffled


def epoch(number, index=0, seed=0):
    """Return the order of the photos in an epoch."""
    return [shuffled(position, number, seed) for position in range(index * number, (index + 1) * number)]


def chi_square(counts, expected):
    return sum((count - expected) ** 2 / expected for count in counts)


class TestSeedOf:
    def test_known_values(self):
        # If these values changed, no run could be resumed or compared with an older one.
        assert seed_of(0) == 14421525015532014153
        assert seed_of(0, "content", 7) == 3851089314339111136
        assert seed_of("judged", 1) == 15479050500936967445

    def test_depends_on_the_whole_key(self):
        keys = [
            (0,),
            (1,),
            ("0",),
            (0, 0),
            (0, "a"),
            (0, "b"),
            ("a", 0),
            (0, "a", 0),
            (0, "a", 1),
            (0, "a", 11),
            (0, "a1", 1),
        ]
        assert len({seed_of(*key) for key in keys}) == len(keys)

    def test_bits_are_even(self):
        seeds = [seed_of(3, "content", position) for position in range(2000)]
        for bit in range(64):
            assert abs(sum(seed >> bit & 1 for seed in seeds) - 1000) < 100  # 4.5 standard deviations


class TestShuffled:
    def test_known_values(self):
        assert epoch(10) == [7, 8, 0, 4, 1, 2, 9, 5, 6, 3]
        assert epoch(10, 1) == [0, 9, 5, 7, 6, 8, 3, 1, 4, 2]
        assert [shuffled(position, 10**9, 5) for position in (0, 1, 10**9, 10**12)] == [
            879514500,
            691765742,
            51613632,
            939529774,
        ]

    @pytest.mark.parametrize("number", [*range(1, 20), 63, 64, 65, 255, 256, 257, 1000, 1024, 1025])
    def test_is_a_bijection(self, number):
        for index in (0, 1, 12345):
            for seed in (0, 2**31):
                assert sorted(epoch(number, index, seed)) == list(range(number))

    def test_orders_differ_between_epochs(self):
        orders = [tuple(epoch(50, index)) for index in range(20)]
        assert len(set(orders)) == 20
        assert tuple(range(50)) not in orders

    def test_orders_differ_between_seeds(self):
        assert len({tuple(epoch(50, seed=seed)) for seed in range(20)}) == 20
        # The second epoch of seed 0 is not the first epoch of seed 1.
        assert epoch(50, 1, 0) != epoch(50, 0, 1)

    def test_photos_are_uniform_at_every_place(self):
        orders = [epoch(7, index) for index in range(1500)]
        for place in range(7):
            counts = Counter(order[place] for order in orders)
            assert chi_square([counts[photo] for photo in range(7)], 1500 / 7) < 22.5  # 1 in 1000 at 6 degrees

    @pytest.mark.parametrize("number", [3, 4])
    def test_every_order_occurs(self, number):
        # Not uniformly: eight rounds over so few photos leave some orders a tenth more likely than others.
        orders = list(permutations(range(number)))
        counts = Counter(tuple(epoch(number, index)) for index in range(50 * len(orders)))
        assert all(25 < counts[order] < 80 for order in orders)

    def test_neighbours_are_separated(self):
        # Photos of one series are neighbours in a folder, and should not be in one batch.
        order = epoch(2000)
        close = sum(abs(a - b) <= 5 for a, b in pairwise(order))
        assert close < 30  # 10 on average

    def test_needs_no_memory(self):
        # A late position in a run with more photos than a list can hold.
        number = 10**15
        drawn = [shuffled(position, number, 0) for position in range(3 * number, 3 * number + 100)]
        assert len(set(drawn)) == 100
        assert min(drawn) < number / 10
        assert max(drawn) > 9 * number / 10
        assert all(0 <= photo < number for photo in drawn)


class TestPositionBatches:
    def test_known_value(self):
        batches = islice(PositionBatches(lambda: 0, 3), 3)
        assert list(batches) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]

    def test_known_value_of_the_second_of_three_processes(self):
        batches = islice(PositionBatches(lambda: 100, 2, rank=1, num_processes=3), 2)
        assert list(batches) == [[102, 103], [108, 109]]

    @pytest.mark.parametrize(("processes", "samples"), [(2, 2), (4, 3), (3, 1), (1, 8)])
    def test_invariance_to_the_number_of_processes(self, processes, samples):
        ranks = [PositionBatches(lambda: 17, samples, rank, processes) for rank in range(processes)]
        one = PositionBatches(lambda: 17, processes * samples)
        for *parts, whole in islice(zip(*ranks, one, strict=True), 20):
            assert sum(parts, []) == whole  # noqa: RUF017

    def test_begins_at_the_position_of_the_run(self):
        stands = iter([0, 12])
        batches = PositionBatches(lambda: next(stands), 4)
        assert next(iter(batches)) == [0, 1, 2, 3]
        assert next(iter(batches)) == [12, 13, 14, 15]

    def test_has_no_length(self):
        # Lightning treats a loader without a length as endless.
        assert not hasattr(PositionBatches(lambda: 0, 1), "__len__")
