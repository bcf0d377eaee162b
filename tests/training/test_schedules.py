import math

import pytest
import torch

from lookcast.checks import InputError
from lookcast.training.schedules import warmup_cosine


def rates(total_steps, steps=None, warmup=0.05, lr=0.5):
    """The learning rate of every step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
    schedule, seen = warmup_cosine(optimizer, total_steps, warmup), []
    for _ in range(steps or total_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


class TestWarmupCosine:
    def test_known_value(self):
        # Ten steps of warm-up: (t + 1) / 11 of a cosine that has hardly begun to fall; then the cosine alone.
        actual = rates(200)
        for step in (0, 4, 9, 10, 50, 100, 199):
            expected = 0.5 * min(1, (step + 1) / 11) * (1 + math.cos(math.pi * step / 200)) / 2
            assert actual[step] == pytest.approx(expected, rel=1e-12)
        assert actual[0] == pytest.approx(0.5 / 11)
        assert actual[100] == pytest.approx(0.25)
        assert actual[199] < 1e-4

    def test_rises_once_and_falls_once(self):
        actual = torch.tensor(rates(200))
        top = int(actual.argmax())
        assert 9 <= top <= 11
        assert (actual[: top + 1].diff() > 0).all()
        assert (actual[top:].diff() < 0).all()

    @pytest.mark.parametrize("total_steps", [1, 2, 19, 20, 21, 40])
    def test_runs_of_any_length(self, total_steps):
        # torch's OneCycleLR divides by zero for 20 steps with a warm-up of one twentieth.
        actual = rates(total_steps)
        assert all(0 < rate <= 0.5 for rate in actual)
        assert max(actual) > 0.2

    def test_nothing_beyond_the_end(self):
        assert rates(10, steps=14)[10:] == pytest.approx([0] * 4, abs=1e-12)

    def test_without_warmup(self):
        assert rates(10, warmup=0)[0] == 0.5

    def test_a_longer_run_goes_on_from_a_shorter_one(self):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.5)
        short = warmup_cosine(optimizer, 10)
        for _ in range(6):
            optimizer.step()
            short.step()
        state = short.state_dict(), optimizer.state_dict()
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.5)
        longer = warmup_cosine(optimizer, 40)
        longer.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
        optimizer.step()
        longer.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rates(40)[7])

    @pytest.mark.parametrize("total_steps", [0, -1])
    def test_rejects_runs_without_a_length(self, total_steps):
        with pytest.raises(InputError, match=rf"total_steps: expected at least 1, got {total_steps}; .*=constant"):
            rates(total_steps, steps=1)

    @pytest.mark.parametrize("warmup", [-0.1, 1.1, float("nan")])
    def test_rejects_other_shares(self, warmup):
        with pytest.raises(InputError, match=r"warmup: expected a share in \[0, 1\]"):
            rates(10, warmup=warmup)
