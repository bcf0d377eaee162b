"""The run folder: its name, its lock, and its removal after a refused start."""

import logging
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from lookcast.checks import InputError
from lookcast.training.launchers import slurm_step, was_requeued

log = logging.getLogger(__name__)

LOCK = ".lock"
WAIT_SECONDS = 180.0
"""Maximum time for which a requeued job waits for the lock. A file server may keep a failed node's lock that long."""


def place_run(overrides: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the overrides for Hydra, in which Hydra's own folder settings replace `run_dir=FOLDER`.

    FOLDER becomes Hydra's run folder, so Hydra also writes its files there. In a sweep, FOLDER becomes the parent
    folder of the runs (`FOLDER/0`, ...). Without `run_dir`, the config names the folder after the start time, except in
    a SLURM job. There, the folder is named after the id of the job, because processes of one run may have different
    start times, and a requeued job has a new start time.

    Args:
        overrides: overrides that the user has given.
        environment: environment variables of the process.

    Raises:
        InputError: `run_dir` is empty, or torchrun has started several processes without `run_dir`.
    """
    placed = []
    for override in overrides:
        key, _, folder = override.partition("=")
        if key == "run_dir" and not folder:
            raise InputError("run_dir: expected a folder, got ''")
        placed += [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"] if key == "run_dir" else [override]
    if any(override.startswith("hydra.run.dir=") for override in placed):
        return placed
    if job := slurm_step(environment):
        return [*placed, f"hydra.run.dir=runs/${{name}}/slurm-{job}"]
    processes = environment.get("WORLD_SIZE", "1")
    if "TORCHELASTIC_RUN_ID" in environment and processes != "1":
        raise InputError(f"run_dir: torchrun started {processes} processes, which need one folder; say run_dir=FOLDER")
    return placed


class RunFolder:
    """Context manager that locks the folder of a run, and removes the folder if the run fails before its first step.

    `open` locks the folder by `flock`. The operating system releases this lock when the process ends, also after a
    kill. Only the first process of a run takes the lock; the other processes write nothing. `__exit__` removes the
    folder if an error ends the `with` block before the first step. A folder that had files before the block stays.

    Args:
        path: the folder; Hydra may have made the folder already.

    Attributes:
        started: True after the start of the first step; the caller sets this attribute.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.started = False
        self._was_empty = _is_empty(self.path)
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self._was_empty and not self.started:
            self._remove()
        if self._lock is not None:
            self._lock.release()

    def open(self, first: bool) -> None:
        """Make the folder; the first process of the run also locks the folder.

        Raises:
            InputError: the folder can't be written, or another training uses it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"run_dir: {self.path}: can't be written ({error.strerror})") from error
        if not os.access(self.path, os.W_OK):
            raise InputError(f"run_dir: {self.path}: can't be written")
        if first:
            self._take_lock()

    def _take_lock(self) -> None:
        path = self.path / LOCK
        wait = WAIT_SECONDS if was_requeued(os.environ) else 0.0
        # A soft lock, which is a plain file, would remain after a process on another node is killed.
        lock = FileLock(path, timeout=wait, mode=0o666, fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout as error:
            holder = path.read_text().strip() or "another process"
            raise InputError(
                f"run_dir: {self.path}: {holder} trains in this folder; wait for its end or say another run_dir"
            ) from error
        except NotImplementedError:
            log.warning("%s: the file system has no locks; let no other training use this folder", self.path)
            return
        except OSError as error:
            raise InputError(f"run_dir: {path}: can't be locked ({error.strerror})") from error
        self._lock = lock
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now():%Y-%m-%d %H:%M:%S},\n")

    def _remove(self) -> None:
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # another process has written into the folder, or has removed the folder
            self.path.rmdir()
        # Remove empty parent folders too, as in Hydra's default folder runs/NAME/TIME.
        for parent in self.path.resolve().parents:
            if not parent.is_relative_to(Path.cwd() / "runs") or any(parent.iterdir()):
                break
            parent.rmdir()


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError:  # `open` refuses this folder
        return False
