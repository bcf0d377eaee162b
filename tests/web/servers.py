"""A real server in a process of its own, for tests and scripts."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_server(
    *options: str, stop: str = "terminate", folder: Path | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start `lookcast web` on a free port of this machine. Yield its address and its process, and stop it afterwards.

    Args:
        *options: options of the command line.
        stop: `terminate`, `interrupt` (Ctrl-C) or `kill`.
        folder: the folder for temporary files; None uses the system's folder.
    """
    environment = os.environ | ({} if folder is None else {"TMPDIR": str(folder)})
    command = [sys.executable, "-m", "lookcast.cli", "web", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not re.fullmatch(r"http://[\w.:\[\]]+/", line):
            raise RuntimeError(f"the server printed {line!r} instead of its address")
        yield line.rstrip("/"), process
    finally:
        {"terminate": process.terminate, "interrupt": lambda: process.send_signal(2), "kill": process.kill}[stop]()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]


def memory_of(pid: int, field: str = "VmRSS") -> float:
    """Return the memory of a process in MB (Linux): `VmRSS` for now, `VmHWM` for the largest value so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
