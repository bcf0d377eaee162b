"""Signals that stop a run in good order: an interruption by hand, a cluster that takes its machines back."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from lookcast.processes import STOP_SIGNALS
from lookcast.training.launchers import requeue, slurm_job


class Preempted(Exception):  # noqa: N818 (no error)
    """A signal stopped the run; a checkpoint holds everything that resuming it needs.

    Args:
        signum: the signal.
        step: the last step that was trained.
        checkpoint: the file.
    """

    def __init__(self, signum: int, step: int, checkpoint: Path) -> None:
        super().__init__(
            f"stopped by {signal.Signals(signum).name} after step {step}; the same command with this run_dir resumes "
            f"from {checkpoint}"
        )
        self.signum, self.step, self.checkpoint = signum, step, checkpoint


class StopSignals:
    """Record a signal that stops the process until the training reaches the end of a step."""

    def __init__(self) -> None:
        self.received = 0
        self.before: dict[int, Any] = {}

    def listen(self) -> None:
        """Install the handlers."""
        self.received = 0
        self.before = {signum: signal.signal(signum, self._receive) for signum in STOP_SIGNALS}

    def ignore(self) -> None:
        """Restore the former handlers."""
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C stops at once
        self.received = max(self.received, signum)


def leave(stop: Preempted) -> int:
    """Return the exit code of a stopped run, and requeue its job if SLURM sent SIGUSR1.

    The first process of the job requeues it.

    Returns:
        0 for a job that is queued again, otherwise 128 plus the signal, as in a shell.

    Raises:
        InputError: SLURM refuses to queue the job again.
    """
    job = slurm_job(os.environ)
    if stop.signum != signal.SIGUSR1 or job is None:
        return 128 + stop.signum
    rank_zero_only(requeue)(job)
    return 0
