"""Listing of the photo files in a folder. This module alone defines which files count as photos."""

import errno
import os
from pathlib import Path
from typing import NamedTuple

from lookcast.checks import InputError
from lookcast.photos.write import PHOTO_SUFFIXES


class FolderEntry(NamedTuple):
    """A photo file or a subfolder in a folder.

    Attributes:
        name: name of the file or subfolder, as the bytes that the file system stores; the bytes need not be UTF-8.
        is_folder: True for a folder or a link to a folder.
    """

    name: bytes
    is_folder: bool


def scan_folder(folder: str | bytes | Path) -> list[FolderEntry]:
    """Return the photos and folders directly in a folder, sorted by name. No file is opened.

    A photo is a regular file, or a link to a regular file, with a suffix in `PHOTO_SUFFIXES`. Pipes and devices are
    left out, because reading them could block for ever. Hidden entries are left out, because they are files of other
    programs or temporary files of killed processes.

    Raises:
        OSError: the folder can't be listed.
    """
    with os.scandir(os.fsencode(folder)) as entries:
        known = ((entry.name, *_type(entry)) for entry in entries if not entry.name.startswith(b"."))
        found = [FolderEntry(name, is_folder) for name, is_folder, is_file in known if is_folder or is_file]
    return sorted(entry for entry in found if entry.is_folder or _has_photo_suffix(entry.name))


def list_photos(folder: str | Path) -> list[Path]:
    """Return the photos directly in a folder, sorted by name; see `scan_folder`.

    Raises:
        InputError: the folder can't be listed.
    """
    folder = Path(folder)
    try:
        return [folder / os.fsdecode(entry.name) for entry in scan_folder(folder) if not entry.is_folder]
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror})") from error


def _has_photo_suffix(name: bytes) -> bool:
    return os.path.splitext(os.fsdecode(name))[1].lower() in PHOTO_SUFFIXES  # noqa: PTH122


def _type(entry: os.DirEntry[bytes]) -> tuple[bool, bool]:
    """Return whether an entry is a folder, and whether it is a regular file."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        return False, False  # a link to itself, or to a path below a file; a link to a missing file raises no error
