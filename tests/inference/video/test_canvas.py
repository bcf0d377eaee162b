import pytest
import torch

from lookcast.inference.video.canvas import FOLLOW, Canvas, look_ahead, to_grid
from lookcast.inference.video.motion import Motion
from lookcast.ops.bilateral.reference import identity_grid

DEPTH, CELLS = 2, 8
CELL = 2 / CELLS  # width of a cell
GREY = torch.full((1, 3, 64, 64), 0.5)
# Positions are sums and products of numbers up to 4, so they are wrong by a few roundings of 2e-7, in cells of .25.
# Neighbouring values differ by up to 5.
ROUNDING = 1e-4


def random_grid(seed=0):
    return torch.randn(1, 12, DEPTH, CELLS, CELLS, generator=torch.Generator().manual_seed(seed))


def read(canvas, pose):
    return to_grid(canvas.read(pose))


class TestCanvas:
    def test_empty_is_the_identity(self):
        assert torch.allclose(read(Canvas.empty(random_grid()), Motion()), identity_grid(1, DEPTH, CELLS, CELLS))

    # The last two frames have no room on the first canvas, or smaller cells: the new canvas lies around them.
    @pytest.mark.parametrize("pose", [Motion(), Motion(0.25, -0.5), Motion(3.0, -7.0), Motion(0.0, 1.0, 0.3)])
    def test_reads_what_was_added(self, pose):
        grid = random_grid()
        assert torch.allclose(read(Canvas.empty(grid).add(grid, GREY, pose), pose), grid, atol=ROUNDING)

    def test_moves_with_the_camera(self):
        grid = random_grid()
        canvas = Canvas.empty(grid).add(grid, GREY, Motion())
        moved = read(canvas, Motion(2 * CELL, -CELL))
        assert torch.allclose(moved[..., 1:, :-2], grid[..., :-1, 2:], atol=ROUNDING)

    def test_mean_of_two_frames(self):
        one, other = random_grid(0), random_grid(1)
        canvas = Canvas.empty(one).add(one, GREY, Motion()).add(other, GREY, Motion())
        assert torch.allclose(read(canvas, Motion()), (one + other) / 2, atol=ROUNDING)

    def test_later_frames_keep_a_share(self):
        grid, last = random_grid(0), random_grid(1)
        canvas = Canvas.empty(grid)
        for _ in range(30):
            canvas = canvas.add(grid, GREY, Motion())
        found = read(canvas.add(last, GREY, Motion()), Motion())
        assert torch.allclose(found, torch.lerp(grid, last, FOLLOW), atol=ROUNDING)

    def test_a_changed_place_follows(self):
        grid, last = random_grid(0), random_grid(1)
        canvas = Canvas.empty(grid)
        for _ in range(30):
            canvas = canvas.add(grid, GREY, Motion())
        changed = GREY.clone()
        changed[..., :8] = 0.9
        found = read(canvas.add(last, changed, Motion()), Motion())
        # The first column has changed. The mean over five cells spreads the change by two columns.
        assert torch.allclose(found[..., 0], last[..., 0], atol=0.01 * 5)
        assert torch.allclose(found[..., 3:], torch.lerp(grid, last, FOLLOW)[..., 3:], atol=ROUNDING)

    def test_a_new_canvas_keeps_the_look(self):
        # The camera moves by ten cells. The new canvas begins with the third column of the first frame.
        grid, last = random_grid(0), random_grid(1)
        canvas = Canvas.empty(grid).add(grid, GREY, Motion())
        moved = canvas.add(last, GREY, Motion(10 * CELL, 0.0))
        assert moved.pose == Motion(10 * CELL, 0.0)
        assert torch.allclose(read(moved, Motion())[..., 2:], grid[..., 2:], atol=ROUNDING)
        assert torch.allclose(read(moved, Motion(10 * CELL, 0.0)), last, atol=ROUNDING)


class TestLookAhead:
    def test_takes_the_later_look(self):
        now = Canvas.empty(random_grid(0)).add(random_grid(0), GREY, Motion())
        later = now.add(random_grid(1), GREY, Motion())
        found = look_ahead(now.read(Motion()), later.read(Motion()))
        assert torch.allclose(found, later.read(Motion()), atol=ROUNDING)

    def test_keeps_the_look_where_colours_change(self):
        now = Canvas.empty(random_grid(0)).add(random_grid(0), GREY, Motion())
        later = now.add(random_grid(1), GREY + 0.3, Motion())
        found = look_ahead(now.read(Motion()), later.read(Motion()))
        assert torch.allclose(found, now.read(Motion()), atol=ROUNDING)

    def test_new_places(self):
        now = Canvas.empty(random_grid(0)).add(random_grid(0), GREY, Motion())
        later = now.add(random_grid(1), GREY, Motion(2.5, 0.0))
        pose = Motion(2.5, 0.0)
        assert torch.allclose(to_grid(look_ahead(now.read(pose), later.read(pose))), random_grid(1), atol=ROUNDING)
