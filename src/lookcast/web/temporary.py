"""The folder of a server's visits. It is deleted when the server ends, or by the next server if this one is killed."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "lookcast-web-"


@contextmanager
def temporary_folder(parent: str | Path | None = None) -> Iterator[Path]:
    """Yield a new folder that only this user can read, and delete it afterwards.

    A lock on a file beside the folder shows that the server lives: the system drops the lock when the process ends,
    however it ends. Folders whose lock is free are deleted first.

    Args:
        parent: folder in which the folder is made; None uses the system's folder for temporary files.
    """
    parent = Path(tempfile.gettempdir() if parent is None else parent)
    delete_abandoned(parent)
    folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
    lock = FileLock(f"{folder}.lock", mode=0o600)
    with lock:
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)


def delete_abandoned(parent: Path) -> list[Path]:
    """Delete the folders that killed servers left in `parent`, and return them."""
    deleted = []
    for path in parent.glob(f"{_PREFIX}*.lock"):
        folder = path.with_suffix("")
        # Another user's lock can't be opened, and a living server's lock can't be acquired.
        with suppress(OSError, Timeout), FileLock(path, timeout=0):
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
                deleted.append(folder)
            path.unlink(missing_ok=True)
    return deleted
