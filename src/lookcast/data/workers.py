"""Processes that read photos, and the signals that are meant for the process they read for."""

import os
import signal

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""What tells a run to stop: by hand, by a manager of processes, by a scheduler shortly before a job's time is up.
A terminal sends it to the whole group of processes, a scheduler to all of a job."""


def ignore_stopping(worker: int = 0) -> None:
    """Read on when told to stop: the run ends in good order behind a step, which takes photos until then.

    A worker ends with its process, whichever way that ends: torch looks after it.

    Args:
        worker: its number; `worker_init_fn` of a `DataLoader` gets it.
    """
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)


def usable_cores() -> int:
    """Those that this process may use, which a scheduler can have made fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
