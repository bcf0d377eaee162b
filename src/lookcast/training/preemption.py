"""Signals that end a run in good order: an interruption by hand, a cluster that takes its machines back."""

import os
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from lookcast.checks import InputError
from lookcast.processes import STOP_SIGNALS


class Preempted(Exception):  # noqa: N818 (no error)
    """A run was told to stop, and everything it needs to go on is in a file.

    Args:
        signum: the signal.
        step: the last that was trained.
        checkpoint: the file.
    """

    def __init__(self, signum: int, step: int, checkpoint: Path) -> None:
        super().__init__(
            f"stopped by {signal.Signals(signum).name} after step {step}; the same command with this run_dir goes on "
            f"from {checkpoint}"
        )
        self.signum, self.step, self.checkpoint = signum, step, checkpoint


class StopSignals:
    """Remembers that the process was told to stop, until the training comes to the end of a step."""

    def __init__(self) -> None:
        self.received = 0
        self.before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over."""
        self.received = 0
        self.before = {signum: signal.signal(signum, self._receive) for signum in STOP_SIGNALS}

    def ignore(self) -> None:
        """Give the signals back."""
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: at once
        self.received = max(self.received, signum)


def leave(stop: Preempted) -> int:
    """What is left to do for a run that was told to stop.

    A job of SLURM that was told by SIGUSR1 is put back into the queue by its first process.

    Returns:
        The exit code: 0 for a job that is queued again, else 128 and the signal, as a shell has it.

    Raises:
        InputError: SLURM refuses to queue the job again.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if stop.signum != signal.SIGUSR1 or job is None:
        return 128 + stop.signum
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    _requeue(job)
    return 0


@rank_zero_only
def _requeue(job: str) -> None:
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"scontrol requeue {job}: {done.stderr.strip()}; submit it again, it goes on by itself")
