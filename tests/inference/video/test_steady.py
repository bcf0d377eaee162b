import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from lookcast.checks import InputError
from lookcast.inference.video.motion import Motion
from lookcast.inference.video.shots import CUT_AHEAD
from lookcast.inference.video.steady import KEY, LOOKAHEAD, shot_grids, steady_grids
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import shrink_to_side
from tests.inference.video.scenes import pan, photo, view, with_noise

DEPTH, CELLS = 2, 8


def look_of(thumbnail):
    """Predict a grid that depends on the scene: each coefficient is the identity plus a colour of the neighbourhood."""
    colours = F.avg_pool2d(shrink_to_side(thumbnail, CELLS), 3, 1, 1, count_include_pad=False)
    return identity_grid(1, DEPTH, CELLS, CELLS) + colours.repeat(1, 4, 1, 1)[:, :, None]


class Restless:
    """A prediction with a random error for each call."""

    def __init__(self):
        self.made, self.calls = torch.Generator().manual_seed(1), 0

    def __call__(self, thumbnail):
        self.calls += 1
        return look_of(thumbnail) + 0.1 * torch.randn(1, 12, 1, 1, 1, generator=self.made)


ONE, OTHER = with_noise(pan("coffee", 30)), with_noise(pan("chelsea", 30, -0.02))


def changes(grids):
    return torch.stack([(a - b).abs().mean() for a, b in pairwise(grids)])


class TestOff:
    def test_predicts_every_frame(self):
        grids = steady_grids(ONE, look_of, "off")
        assert all(torch.equal(grid, look_of(frame)) for grid, frame in zip(grids, ONE, strict=True))

    def test_reads_no_frame_ahead(self):
        read = []
        for number, _ in enumerate(steady_grids((read.append(0) or frame for frame in ONE), look_of, "off")):
            assert len(read) == number + 1


class TestSmooth:
    def test_one_grid_for_each_frame(self):
        for count in (0, 1, 2, KEY, KEY + 1, 2 * KEY + 2, len(ONE)):
            assert len(list(steady_grids(ONE[:count], look_of))) == count

    def test_few_predictions(self):
        predict = Restless()
        list(steady_grids(ONE, predict))
        assert predict.calls == math.ceil(len(ONE) / KEY)

    def test_reads_few_frames_ahead(self):
        read, most = [], 0
        frames = ONE + OTHER + ONE
        for number, _ in enumerate(steady_grids((read.append(0) or frame for frame in frames), look_of)):
            most = max(most, len(read) - number - 1)
        assert most == LOOKAHEAD == 2 * KEY - 1 + CUT_AHEAD

    def test_still_clip_keeps_its_look(self):
        grids = list(steady_grids(ONE[:1] * 20, look_of))
        # Motion is estimated to a hundredth of a cell, and neighbouring cells differ by less than 1.
        assert all(torch.allclose(grid, look_of(ONE[0]), atol=0.01) for grid in grids)

    def test_shots_share_nothing(self):
        both = list(steady_grids(ONE[:20] + OTHER, look_of))
        alone = list(steady_grids(ONE[:20], look_of)) + list(steady_grids(OTHER, look_of))
        assert all(torch.equal(one, other) for one, other in zip(both, alone, strict=True))

    def test_random_errors_shrink(self):
        still = ONE[:1] * 60
        off = changes(list(steady_grids(still, Restless(), "off"))).mean()
        smooth = changes(list(steady_grids(still, Restless()))).mean()
        assert smooth < off / 20

    def test_the_look_moves_with_the_camera(self):
        # The camera moves by 40 % of the frame. A look that stays on the screen would be wrong by that much.
        frames = pan("coffee", 40)
        grids = list(steady_grids(frames, look_of))
        error = sum((grid - look_of(frame)).abs().mean() for grid, frame in zip(grids, frames, strict=True))
        stays = sum((look_of(frames[0]) - look_of(frame)).abs().mean() for frame in frames)
        assert error < 0.25 * stays

    def test_a_long_way(self):
        # The camera leaves the canvas of the first frame: it moves by four frames, and back.
        image = photo("rocket")
        way = torch.cat([torch.linspace(-0.8, 0.8, 60), torch.linspace(0.8, -0.8, 60)]).tolist()
        frames = [view(image, Motion(x, 0.0, 0.2)) for x in way]
        grids = list(steady_grids(frames, look_of))
        errors = torch.stack([(g - look_of(f)).abs().mean() for g, f in zip(grids, frames, strict=True)])
        assert errors.mean() < 0.02
        assert errors.max() < 0.06

    def test_follows_a_change_of_light(self):
        values = [*torch.linspace(0.5, 1, 30).tolist(), *[1.0] * 30]
        frames = [value * ONE[0] for value in values]
        grids = list(steady_grids(frames, look_of))
        levels = torch.stack([grid.mean() for grid in grids])
        assert (levels.diff() > -1e-6).all()  # no pumping
        first, last = look_of(frames[0]), look_of(frames[-1])
        assert (grids[-1] - last).abs().mean() < 0.1 * (last - first).abs().mean()

    def test_black_frames_keep_their_colours(self):
        # Sums of a few products of numbers up to 1: some roundings of 6e-8 each.
        grids = steady_grids([torch.zeros(1, 3, 64, 64)] * 9, look_of)
        assert all(torch.allclose(grid, identity_grid(1, DEPTH, CELLS, CELLS), atol=1e-6) for grid in grids)

    def test_a_fade_ends_in_the_identity(self):
        values = [*[1.0] * 12, *torch.linspace(1, 0, 24).tolist(), *[0.0] * 18]
        grids = list(steady_grids([value * ONE[0] for value in values], look_of))
        identity = identity_grid(1, DEPTH, CELLS, CELLS)
        distances = torch.stack([(grid - identity).abs().mean() for grid in grids])
        assert distances[-1] < 0.02 * distances[0]
        assert (distances.diff() < 1e-6).all()

    @pytest.mark.parametrize("mode", ["shot", "", None])
    def test_rejects_modes(self, mode):
        with pytest.raises(InputError, match="mode: expected smooth or off"):
            steady_grids(ONE, look_of, mode)


class TestShotGrids:
    def test_one_grid_for_each_shot(self):
        found = shot_grids(ONE[:20] + OTHER + ONE[:1], look_of)
        assert [first for first, _ in found] == [0, 20, 50]
        assert torch.allclose(found[2][1], look_of(ONE[0]), atol=1e-3)

    def test_mean_over_the_shot(self):
        found = shot_grids(ONE, look_of)[0][1]
        looks = [look_of(ONE[number]) for number in (0, 12, 24)]
        assert torch.allclose(found, torch.stack(looks).mean(0), atol=0.02)

    def test_a_fade_counts_little(self):
        frames = [value * ONE[0] for value in (1 - torch.arange(30) / 30).tolist()]
        found = shot_grids(frames, look_of)[0][1]
        assert (found - look_of(frames[0])).abs().mean() < 0.5 * (found - look_of(frames[15])).abs().mean()

    def test_black_shot(self):
        found = shot_grids([torch.zeros(1, 3, 64, 64)] * 3, look_of)
        assert [first for first, _ in found] == [0]
        assert torch.allclose(found[0][1], identity_grid(1, DEPTH, CELLS, CELLS), atol=1e-6)

    def test_no_frames(self):
        assert shot_grids([], look_of) == []
