"""Schedules of the learning rate."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lookcast.checks import InputError


def warmup_cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.05) -> LambdaLR:
    """Return a linear warm-up, then half a cosine down to zero: `min(1, (t + 1) / (w T + 1)) (1 + cos(pi t / T)) / 2`.

    Unlike `OneCycleLR`, it takes a run of any length, and a resumed run may be longer than the first part: the
    checkpoint holds the step alone.

    Args:
        optimizer: its learning rate is the peak.
        total_steps: T, steps of the whole run.
        warmup: w, share of the steps in [0, 1] until the peak.

    Raises:
        InputError: no length, as with `trainer.max_steps=-1`, or a share outside [0, 1].

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017 (the cosine).
    """
    if total_steps < 1:
        raise InputError(
            f"scheduler.total_steps: expected at least 1, got {total_steps}; without an end take scheduler=constant"
        )
    if not 0 <= warmup <= 1:
        raise InputError(f"scheduler.warmup: expected a share in [0, 1], got {warmup}")

    def factor(step: int) -> float:
        done = min(step / total_steps, 1.0)
        return min(1.0, (step + 1) / (warmup * total_steps + 1)) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, factor)
