"""Schedules of the learning rate."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lookcast.checks import InputError


def warmup_cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.05) -> LambdaLR:
    """Return a learning rate schedule with a linear warm-up and a cosine decay to zero.

    At step t, the learning rate of the optimiser is multiplied by
    `min(1, (t + 1) / (w * T + 1)) * (1 + cos(pi * t / T)) / 2`. A checkpoint stores t but not T, so a resumed run may
    have a larger T than before. `OneCycleLR` does not allow a larger T.

    Args:
        optimizer: the optimiser; its learning rate is the peak of the schedule.
        total_steps: T, number of steps of the whole run.
        warmup: w, length of the warm-up as a share of T, in [0, 1].

    Raises:
        InputError: `total_steps` is below 1, as with `trainer.max_steps=-1`, or `warmup` is outside [0, 1].

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017 (the cosine).
    """
    if total_steps < 1:
        raise InputError(
            f"scheduler.total_steps: expected at least 1, got {total_steps}; an endless run needs scheduler=constant"
        )
    if not 0 <= warmup <= 1:
        raise InputError(f"scheduler.warmup: expected a share in [0, 1], got {warmup}")

    def factor(step: int) -> float:
        done = min(step / total_steps, 1.0)
        return min(1.0, (step + 1) / (warmup * total_steps + 1)) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, factor)
