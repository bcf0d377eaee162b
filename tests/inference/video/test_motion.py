import pytest
import torch

from lookcast.inference.video.motion import Motion, estimate_motion, pyramid
from tests.inference.video.scenes import photo, view

START = Motion(-0.1, 0.05, 0.6)


class TestMotion:
    def test_after(self):
        first, second = Motion(0.1, -0.2, 1.5), Motion(0.3, 0.4, 0.5)
        both = second.after(first)
        for p in (-1.0, 0.3):
            assert both.zoom * p + both.x == pytest.approx(second.zoom * (first.zoom * p + first.x) + second.x)
            assert both.zoom * p + both.y == pytest.approx(second.zoom * (first.zoom * p + first.y) + second.y)

    def test_inverse(self):
        motion = Motion(0.3, 0.4, 0.5)
        assert motion.inverse().after(motion) == pytest.approx(Motion())

    def test_positions_of_no_motion_are_cell_centres(self):
        assert torch.equal(Motion().positions(1, 4)[0, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
        assert torch.equal(Motion().positions(2, 1, 2.0)[:, 0, 1], torch.tensor([-1.0, 1.0]))


class TestEstimateMotion:
    @pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
    @pytest.mark.parametrize(
        "motion", [Motion(), Motion(0.03, -0.01), Motion(-0.12, 0.06), Motion(0.0, 0.02, 1.05), Motion(0.02, 0.0, 0.96)]
    )
    def test_finds_a_known_motion(self, name, motion):
        image = photo(name)
        frames = [pyramid(view(image, pose, 256)) for pose in (START, START.after(motion))]
        found = estimate_motion(*frames)
        # A tenth of a cell of the grid, which has 16 cells in a width of 2.
        assert found == pytest.approx(motion, abs=0.0125)

    def test_change_of_exposure(self):
        image = photo("coffee")
        before, after = (view(image, pose, 256) for pose in (START, START.after(Motion(0.03, -0.01))))
        assert estimate_motion(pyramid(before), pyramid(0.7 * after + 0.05)) == pytest.approx(
            Motion(0.03, -0.01), abs=0.0125
        )

    def test_moving_object_counts_little(self):
        image, thing = photo("coffee"), photo("chelsea")[..., :100, :100]
        before, after = (view(image, pose, 256) for pose in (START, START.after(Motion(0.03, -0.01))))
        before[..., 100:160, 60:120] = view(thing, Motion(), 60)
        after[..., 100:160, 80:140] = view(thing, Motion(), 60)
        assert estimate_motion(pyramid(before), pyramid(after)) == pytest.approx(Motion(0.03, -0.01), abs=0.0125)

    def test_flat_images_do_not_move(self):
        flat = pyramid(torch.full((1, 3, 64, 64), 0.4))
        assert estimate_motion(flat, flat) == pytest.approx(Motion(), abs=1e-4)
