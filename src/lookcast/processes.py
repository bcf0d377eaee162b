"""Processes: the cores that one may use, and the signals that stop a training but not its workers."""

import os
import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Signals that stop a training: Ctrl-C, a process manager, a scheduler shortly before a job's time is up.
A terminal sends them to the whole process group, a scheduler to all processes of a job."""


def ignore_stop_signals(worker: int = 0) -> None:
    """Ignore `STOP_SIGNALS` in a worker process, because the training takes photos until its step is finished.

    A worker ends with its parent in any case: torch takes care of that.

    Args:
        worker: the worker's number, which `worker_init_fn` of a `DataLoader` passes.
    """
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def usable_cores() -> int:
    """Return the number of cores that this process may use; a scheduler can allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
