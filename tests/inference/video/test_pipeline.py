"""The stages of the pipeline."""

import threading
import time

import pytest
import torch

from lookcast.inference.stylizer import Stylizer
from lookcast.inference.video.frames import Frame
from lookcast.inference.video.look import ClipLook, held_grids, turn_grid
from lookcast.inference.video.pipeline import read_ahead, with_grids
from tests.looks import look


def frame(number):
    return Frame(f"picture {number}", torch.full((1, 3, 4, 4), float(number)), number)


class TestReadAhead:
    def test_gives_every_item_in_order(self):
        assert list(read_ahead(range(100), 3)) == list(range(100))

    def test_computes_a_bounded_number_of_items_in_advance(self):
        computed = []
        items = read_ahead((computed.append(number) or number for number in range(1000)), 3)
        assert next(items) == 0
        time.sleep(0.3)
        # One item was taken, three wait, and one waits for a free place.
        assert len(computed) == 5
        items.close()

    def test_raises_the_error_of_the_items_after_those_before_it(self):
        def items():
            yield 1
            raise KeyError("no second item")

        found = read_ahead(items())
        assert next(found) == 1
        with pytest.raises(KeyError, match="no second item"):
            next(found)

    def test_closing_ends_the_thread_and_the_items(self):
        ended = []

        def items():
            try:
                yield from range(1000)
            finally:
                ended.append(threading.current_thread())

        before = threading.active_count()
        found = read_ahead(items())
        next(found)
        found.close()
        assert threading.active_count() == before
        assert len(ended) == 1


class TestWithGrids:
    def test_packets_keep_their_places_and_frames_get_their_grids(self):
        items = ["sound", frame(0), "sound", "text", frame(1), frame(2), "end"]

        def grids(thumbnails):  # reads two ahead, as a smoother does
            values = [thumbnail.mean().item() for thumbnail in thumbnails]
            yield from (torch.tensor(10 * value) for value in values)

        pairs = list(with_grids(items, grids, ClipLook(Stylizer(look(), {}, "cpu")), (4, 4)))
        assert [item for item, _ in pairs] == items
        assert [None if grid is None else grid.item() for _, grid in pairs] == [None, 0, None, None, 10, 20, None]


class TestHeldGrids:
    def test_each_frame_has_the_grid_of_its_shot(self):
        shots = [(0, "first"), (3, "second"), (4, "third")]
        assert list(held_grids(shots, range(6))) == ["first"] * 3 + ["second"] + ["third"] * 2


class TestTurnGrid:
    @pytest.mark.parametrize("turns", [0, 1, 2, 3])
    def test_undoes_the_turn_of_the_frame(self, turns):
        stored = torch.rand(1, 12, 2, 3, 4)
        upright = torch.rot90(stored, turns, (3, 4))
        assert torch.equal(turn_grid(upright, turns), stored)
