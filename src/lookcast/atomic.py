"""Atomic writes: a file appears completely or not at all. Temporary files of killed processes are removed."""

import hashlib
import os
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from lookcast.checks import InputError, why_refused

_TEMPORARY = re.compile(r"\.lookcast-([0-9a-f]{8})-([0-9]{1,10})-([^-.]+)(?:\.[^.]*)?$")
# Bytes of the target's stem and suffix that a temporary file's name keeps, because a name may have only 255 bytes.
_MAX_STEM, _MAX_SUFFIX = 40, 32

# A part of the names of this process's temporary files. A restarted container gives its processes the same ids again.
_TOKEN = secrets.token_hex(4)

_swept: set[str] = set()
_lock = threading.Lock()


@contextmanager
def atomic_write(path: str | Path, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the block succeeds, else delete it.

    The first write into a folder also removes the temporary files that dead processes left there; see `remove_stale`.

    Args:
        path: the file to write.
        replace: if False, a file that exists is kept, also if another process creates it during the block.

    Raises:
        InputError: the folder can't be created or written, `path` is a folder, or the name is invalid; or `path` exists
            and `replace` is False.
    """
    path = Path(path)
    try:
        _check_target(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The temporary is in the same folder, so that the rename is atomic. It keeps the suffix of `path`, because
        # image writers choose the format by the suffix.
        stem, suffix = os.fsencode(path.stem)[:_MAX_STEM], path.suffix
        handle, name = tempfile.mkstemp(
            prefix=f".{os.fsdecode(stem)}.lookcast-{_machine()}-{os.getpid()}-{_TOKEN}",
            suffix=suffix if len(os.fsencode(suffix)) <= _MAX_SUFFIX else "",
            dir=path.parent,
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path}: can't be written ({why_refused(error)})") from error
    os.close(handle)
    temporary = Path(name)
    _sweep_once(path.parent)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp gives access to the owner only
        if not replace:
            path.open("x").close()  # claims the name, or fails because it is taken; every file system can do this
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_stale(folder: str | Path) -> list[Path]:
    """Delete the temporary files that dead processes of this machine left in a folder. Subfolders are not searched.

    The name of a temporary file identifies the machine and the process that made it. Files of live processes or other
    machines are kept, and so is every file that `atomic_write` did not create.

    Returns:
        The deleted files.
    """
    removed = []
    with suppress(OSError), os.scandir(folder) as entries:  # a folder that can't be listed has nothing to delete
        for entry in entries:
            found = _TEMPORARY.search(entry.name) if entry.name.startswith(".") else None
            if (
                found
                and found[1] == _machine()
                and not _is_alive(int(found[2]), found[3])
                and entry.is_file(follow_symlinks=False)
            ):
                with suppress(OSError):  # another process may have deleted it
                    Path(entry.path).unlink()
                    removed.append(Path(entry.path))
    return removed


def _sweep_once(folder: Path) -> None:
    with _lock:
        key = os.path.realpath(folder)
        if key in _swept:
            return
        _swept.add(key)
    remove_stale(folder)


def _check_target(path: Path) -> None:
    """Raise an error if no file can be written at a path.

    Raises:
        OSError: the path is a folder, a parent of the path is a file, or the system refuses the name.
    """
    try:
        is_folder = path.is_dir()
        path.lstat()
    except FileNotFoundError:
        return
    except NotADirectoryError:
        file = next(parent for parent in path.parents if parent.exists())
        raise OSError(f"{file} is not a folder") from None
    if is_folder:
        raise OSError("it is a folder")


def _is_alive(pid: int, name: str) -> bool:
    """Return whether the process that made a temporary file still runs.

    Args:
        pid: id of the process.
        name: the part of the file's name that follows the id.
    """
    if pid == os.getpid():
        return name.startswith(_TOKEN)
    import psutil  # here, because few runs find such a file

    try:
        # A killed process stays in the table, as a zombie, until its parent asks for its exit code.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, OverflowError):  # OverflowError: the number is no possible process id
        return False
    except psutil.AccessDenied:  # the process belongs to another user
        return True


@cache
def _machine() -> str:
    """Return a short hash of the host name and the PID namespace. Process ids are unique within a PID namespace."""
    namespace = ""
    with suppress(OSError):  # the link exists on Linux only
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def _umask() -> int:
    with _lock:  # the umask can be read only by setting it
        umask = os.umask(0)
        os.umask(umask)
    return umask
