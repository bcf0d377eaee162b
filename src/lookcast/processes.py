"""The number of usable cores, the scheduling of threads, and the signals that stop a training run."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Windows has no SIGUSR1.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""Signals that stop a training run. Ctrl-C sends SIGINT, a process manager sends SIGTERM, and a scheduler sends SIGUSR1
shortly before the time limit. Terminals and schedulers send the signals to all processes of a run."""


def ignore_stop_signals(worker: int = 0) -> None:
    """Ignore `STOP_SIGNALS` in a worker process of a `DataLoader`.

    The training process finishes its current step after a signal, and needs photos from the workers until then. torch
    ends each worker when the training process ends.

    Args:
        worker: number of the worker. The argument is unused; `DataLoader` passes it to `worker_init_fn`.
    """
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def usable_cores() -> int:
    """Return the number of cores that this process may use; a scheduler can allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Undo changes that the block makes to the scheduling of this thread, on Linux; new threads get the same.

    SVT-AV1 raises the thread that opens the encoder, and its own threads, to the highest real-time priority if the
    process runs as root, as in most containers. Such threads can stop everything else on the machine, and child
    processes inherit the priority.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters, known = os.sched_getscheduler(0), os.sched_getparam(0), _threads()
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
        for thread in _threads() - known:
            with suppress(ProcessLookupError):  # the thread has ended
                os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}
