"""Usable cores, the scheduling of threads, and the signals that stop a command or a training run."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
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


def worker_context(workers: int) -> str | None:
    """Return the `multiprocessing_context` of a `DataLoader`: `fork` on Linux, else Python's default.

    From Python 3.14 on, the default on Linux is a fork server, which starts the workers. Workers end when their parent
    ends, but the fork server waits for them, so both would outlive a killed run.

    Args:
        workers: number of workers. Without workers, `DataLoader` takes no context, so the result is None.
    """
    return "fork" if workers and sys.platform == "linux" else None


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


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Defer the `KeyboardInterrupt` of Ctrl-C to the end of a block that starts threads and waits for them.

    Otherwise, Python raises `KeyboardInterrupt` between any two steps of the main thread, for example when `threading`
    or `concurrent.futures` has just taken a lock. The lock is then never released, the other threads wait for it for
    ever, and Python waits for these threads before it exits.

    Nothing is deferred outside the main thread, because only the main thread gets a `KeyboardInterrupt`, or if Ctrl-C
    has another handler, such as that of an outer block.

    Yields:
        A function for the threads, which raises `CancelledError` after Ctrl-C.

    Raises:
        KeyboardInterrupt: at the end of the block, after Ctrl-C in the block; also if the block raises an error.
    """
    interrupted = False

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True

    def check() -> None:
        if interrupted:
            raise CancelledError

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupted:
            raise KeyboardInterrupt
