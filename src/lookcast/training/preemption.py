"""Handling of stop signals: after a signal, a run completes its step, writes a checkpoint and ends."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from lookcast.processes import STOP_SIGNALS
from lookcast.training.launchers import requeue, slurm_job


class Preempted(Exception):  # noqa: N818 (no error)
    """A signal stopped the run. A checkpoint holds everything that is needed to resume the run.

    Args:
        signum: number of the signal.
        step: number of the last trained step.
        checkpoint: path of the checkpoint.
    """

    def __init__(self, signum: int, step: int, checkpoint: Path) -> None:
        super().__init__(
            f"stopped by {signal.Signals(signum).name} after step {step}; the same command with this run_dir resumes "
            f"from {checkpoint}"
        )
        self.signum, self.step, self.checkpoint = signum, step, checkpoint


class StopSignals:
    """Record stop signals, so that the training can stop at the end of a step."""

    def __init__(self) -> None:
        self.received = 0
        self.before: dict[int, Any] = {}

    def listen(self) -> None:
        """Install the handlers that record stop signals."""
        self.received = 0
        self.before = {signum: signal.signal(signum, self._receive) for signum in STOP_SIGNALS}

    def ignore(self) -> None:
        """Restore the handlers that `listen` has replaced."""
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C stops the run at once
        self.received = max(self.received, signum)


def leave(stop: Preempted) -> int:
    """Return the exit code of a stopped run, and requeue the SLURM job if the signal was SIGUSR1.

    Only the first process of the run requeues the job.

    Returns:
        0 for a requeued job, otherwise 128 plus the number of the signal, as in a shell.

    Raises:
        InputError: SLURM refuses to requeue the job.
    """
    job = slurm_job(os.environ)
    if job is None or stop.signum != signal.SIGUSR1:  # no SLURM job runs on Windows, which has no SIGUSR1
        return 128 + stop.signum
    rank_zero_only(requeue)(job)
    return 0
