"""Folders that ship with lookcast, and checks of paths that a user gives."""

import os
import stat
from pathlib import Path

from lookcast.checks import InputError, why_refused

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """Return a folder that ships with lookcast: `conf` or `checkpoints`.

    In a wheel, the folder is inside the package. In an editable install, the folder is at the top of the checkout.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for candidate in (_PACKAGE / folder, _PACKAGE.parents[1] / folder):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"lookcast's folder {folder!r} is missing from this installation")


def check_file(path: str | Path, what: str, error: type[InputError] = InputError) -> Path:
    """Return `path` if the path is a regular file or a link to a regular file.

    Other kinds of file are refused, because reading a pipe, for example, could block for ever.

    Args:
        path: the path that the user gave.
        what: the expected kind of file, for the message, such as `photo`.
        error: the exception to raise.

    Raises:
        InputError: the file does not exist, is a folder, a pipe or a device, or the system refuses the name.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as missing:
        raise error(f"{path}: no such {what}") from missing
    except (OSError, ValueError) as refused:  # ValueError: a null byte in the name
        raise error(f"{path}: can't be read ({why_refused(refused)})") from refused
    if stat.S_ISDIR(mode):
        raise error(f"{path}: is a folder, expected a {what}")
    if not stat.S_ISREG(mode):
        raise error(f"{path}: is a pipe or a device, expected a {what} in a regular file")
    return path


def unused_path(path: Path) -> Path:
    """Return `path` if nothing exists there, else the first of `STEM-2.SUFFIX`, `STEM-3.SUFFIX`, ... that is unused."""
    candidate, number = path, 1
    while os.path.lexists(candidate):  # also True for a link whose target is missing
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def check_path(path: str | Path, name: str) -> Path:
    """Return `path` if the operating system can look up the path. The file or folder need not exist.

    The system can't look up a path with a name of over 255 bytes or with a parent folder that can't be read.
    `Path.is_dir` and similar methods raise an `OSError` for such a path.

    Args:
        path: a file or folder, which need not exist.
        name: name of the setting that holds the path, for the message.

    Raises:
        InputError: the path can't be looked up, or is empty (an empty path would stand for the current folder).
    """
    if path == "":
        raise InputError(f"{name}: expected a path, got an empty text")
    path = Path(path)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as refused:  # ValueError: a null byte in the name
        raise InputError(f"{name}: {path}: can't be read ({why_refused(refused)})") from refused
    return path
