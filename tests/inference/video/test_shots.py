import pytest
import torch

from lookcast.checks import InputError
from lookcast.inference.video.shots import CUT_AHEAD, brightness, find_shots
from tests.inference.video.scenes import pan, with_noise


def starts(frames):
    """Return the numbers of the frames at which shots start."""
    shots = [frame.shot for frame in find_shots(frames)]
    return [number for number, shot in enumerate(shots) if number == 0 or shot != shots[number - 1]]


def faded(frames, values):
    return [frame * value for frame, value in zip(frames, values, strict=True)]


ONE, OTHER = with_noise(pan("coffee", 24)), with_noise(pan("chelsea", 24, -0.02))
DOWN, UP = torch.linspace(1, 0, 24).tolist(), torch.linspace(0, 1, 24).tolist()


class TestFindShots:
    def test_yields_every_thumbnail(self):
        clip = ONE + OTHER
        assert all(frame.thumbnail is sent for frame, sent in zip(find_shots(clip), clip, strict=True))

    def test_hard_cuts(self):
        assert starts(ONE + OTHER + ONE[:3] + OTHER) == [0, 24, 48, 51]

    def test_cut_right_after_the_start_and_before_the_end(self):
        assert starts(ONE[:1] + OTHER + ONE[:1]) == [0, 1, 25]

    @pytest.mark.parametrize("gain", [0.5, 1.6])
    def test_flash_is_no_cut(self, gain):
        clip = [*ONE]
        clip[10] = (gain * clip[10]).clamp(0, 1)
        assert starts(clip) == [0]

    def test_fast_motion_is_no_cut(self):
        assert starts(pan("rocket", 24, 0.04)) == [0]

    def test_dissolve_is_no_cut(self):
        clip = [a * one + (1 - a) * other for a, one, other in zip(DOWN, ONE, OTHER, strict=True)]
        assert starts(clip) == [0]

    def test_fades_are_whole(self):
        # The shot starts with the first frame that is no longer black.
        (zero, start) = starts(faded(ONE, DOWN) + faded(OTHER, UP))
        assert zero == 0
        assert 24 < start < 30

    def test_cut_after_a_fade_to_black(self):
        assert starts(faded(ONE, DOWN) + OTHER) == [0, 24]

    def test_blank_wall_is_no_cut(self):
        wall = [torch.full((1, 3, 64, 64), 0.6)] * 8
        assert starts(
            [a * wall[0] + (1 - a) * ONE[0] for a in UP] + wall + [a * wall[0] + (1 - a) * ONE[0] for a in DOWN]
        ) == [0]

    def test_still_frames(self):
        assert starts(ONE[:1] * 10) == [0]

    def test_reads_few_frames_ahead(self):
        read = []
        frames = find_shots(read.append(number) or frame for number, frame in enumerate(ONE))
        for number, _ in enumerate(frames):
            assert len(read) == min(number + 1 + CUT_AHEAD, len(ONE))

    def test_no_frames(self):
        assert starts([]) == []

    @pytest.mark.parametrize("shape", [(3, 64, 64), (2, 3, 64, 64), (1, 3, 64, 128), (1, 3, 65, 65), (1, 3, 0, 0)])
    def test_rejects_shapes(self, shape):
        with pytest.raises(InputError, match=r"thumbnail: expected (shape|at least one element)"):
            list(find_shots([torch.zeros(shape)]))


class TestBrightness:
    def test_known_value(self):
        image = torch.zeros(1, 3, 64, 64)
        image[..., 32:] = 1
        # Half of the values are 0 and half 1; the standard deviation divides by n - 1 with n = 3 x 32^2.
        assert brightness(image) == pytest.approx(0.5 + 0.5 * (3072 / 3071) ** 0.5, rel=1e-6)
