"""Read byte ranges of files in a folder, which is on this machine or at a URL that fsspec supports."""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import fsspec

from lookcast.checks import InputError
from lookcast.photos.read import PhotoError

MAX_OPEN = 64
"""Maximum number of files that a process keeps open."""
PAUSES = (0.5, 1.0, 2.0)
"""Pauses in seconds between the attempts of a remote read. s3fs also retries by itself, but HTTP in fsspec does not."""


def open_storage(source: str | Path) -> "LocalStorage | RemoteStorage":
    """Open a folder by its path, or by a URL such as `s3://bucket/folder`.

    Raises:
        InputError: the folder does not exist, or no installed package supports the URL.
    """
    if "://" in str(source):
        return RemoteStorage(str(source))
    if not Path(source).is_dir():
        raise InputError(f"shards: {source} does not exist, or is no folder")
    return LocalStorage(Path(source))


class LocalStorage:
    """Files in a folder on this machine. The object can be pickled, and used after a fork."""

    remote = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        # The cache limits the number of open files. A file that leaves it is closed when no read is in progress.
        self._position = Lock()
        self._open = lru_cache(MAX_OPEN)(lambda name: (self.folder / name).open("rb", buffering=0))

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalStorage, (self.folder,)

    def where(self, name: str) -> str:
        """Return a file's path, for messages."""
        return str(self.folder / name)

    def size(self, name: str) -> int:
        """Return the size of a file in bytes.

        Raises:
            InputError: the file is missing.
        """
        try:
            return (self.folder / name).stat().st_size
        except OSError as error:
            raise InputError(f"shards: {self.where(name)} is missing ({error.strerror})") from error

    def read(self, name: str, start: int, length: int) -> bytes:
        """Read `length` bytes from the offset `start`, or fewer bytes if the file ends earlier.

        Raises:
            PhotoError: the file can't be read.
        """
        try:
            file = self._open(name)
            if hasattr(os, "pread"):  # forked processes share the position of an open file, which pread does not use
                return os.pread(file.fileno(), length, start)
            with self._position:  # Windows
                file.seek(start)
                data: bytes = file.read(length)
                return data
        except OSError as error:
            raise PhotoError(f"{self.where(name)}: can't be read ({error.strerror})") from error


class RemoteStorage:
    """Files in a folder at a URL, with the methods of `LocalStorage`. Failed requests are repeated after `PAUSES`."""

    remote = True

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._existing: str | None = None
        self._locate("")

    def where(self, name: str) -> str:
        """Return a file's URL, for messages."""
        return f"{self.url}/{name}"

    def size(self, name: str) -> int:
        """Return the size of a file in bytes.

        Raises:
            InputError: the file is missing, or the server can't be reached.
        """
        try:
            size = self._retry(lambda system, path: system.info(path)["size"], name)
        except FileNotFoundError as error:  # some protocols raise this for an unreachable server too
            raise InputError(f"shards: {self.where(name)} is missing, or its server can't be reached") from error
        except PhotoError as error:
            raise InputError(f"shards: {error}") from error
        if size is None:
            raise InputError(f"shards: {self.where(name)}: the server does not report the size of the file")
        self._existing = self._existing or name
        return int(size)

    def read(self, name: str, start: int, length: int) -> bytes:
        """Read `length` bytes from the offset `start`, or fewer bytes if the file ends earlier.

        Raises:
            PhotoError: the file can't be read.
            InputError: the server does not answer any more, or can't serve parts of files.
        """
        try:
            data: bytes = self._retry(lambda system, path: system.cat_file(path, start=start, end=start + length), name)
        except (FileNotFoundError, PhotoError) as error:
            missing = PhotoError(f"{self.where(name)}: can't be read (it is missing)")
            failure = error if isinstance(error, PhotoError) else missing
            if self._answers():
                raise failure from error
            raise InputError(f"shards: the server does not answer any more: {failure}") from error
        if len(data) > length:
            raise InputError(
                f"shards: {self.where(name)}: asked for {length} bytes and got {len(data)}: the server does not serve "
                "parts of files"
            )
        return data

    def _answers(self) -> bool:
        """Return True if the server still serves the index, which is the first file whose size was read."""
        if self._existing is None:
            return True
        system, path = self._locate(self._existing)
        try:
            system.cat_file(path, start=0, end=1)
        except Exception:  # every protocol has its own errors
            return False
        return True

    def _retry(self, call: Callable[[Any, str], Any], name: str) -> Any:
        system, path = self._locate(name)
        for pause in (*PAUSES, None):
            try:
                return call(system, path)
            except Exception as error:  # every protocol has its own errors
                if pause is not None:
                    time.sleep(pause)
                    continue
                if isinstance(error, FileNotFoundError):
                    raise
                reason = " ".join(str(error).split()) or type(error).__name__
                times = f"tried {len(PAUSES) + 1} times"
                raise PhotoError(f"{self.where(name)}: can't be read ({reason}), {times}") from error
        raise AssertionError

    def _locate(self, name: str) -> tuple[Any, str]:
        """Return the file system of the URL, and the path of a file in this file system.

        fsspec keeps a separate file system for each process, because a forked process can't use open connections.
        """
        try:
            system, root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            hint = "pip install 'lookcast[s3]'" if self.url.startswith("s3") else str(error)
            raise InputError(f"shards: {self.url} needs a package that is not installed: {hint}") from error
        except ValueError as error:
            raise InputError(f"shards: {self.url}: {error}") from error
        return system, f"{root}/{name}"
