"""Parts of the files of a folder, one read each: on this machine, or behind a URL that fsspec knows."""

import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

from lookcast.checks import InputError
from lookcast.photos.read import PhotoError

MAX_OPEN = 64
"""Files that a process keeps open."""
ATTEMPTS = 4
"""How often a remote read is tried, with pauses of 0.5, 1 and 2 seconds between."""
_PAUSE = 0.5


class RangedFiles(Protocol):
    """Files of one folder. Pickles without what it holds open, and may be used after a fork."""

    remote: bool

    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            InputError: it is missing, or the folder can't be reached.
        """

    def read(self, name: str, start: int, length: int) -> bytes:
        """That many bytes, or fewer where the file ends.

        Raises:
            PhotoError: it can't be read.
            InputError: neither can any other file of the folder.
        """

    def where(self, name: str) -> str:
        """What messages call a file."""


def open_folder(source: str | Path, name: str = "shards") -> RangedFiles:
    """A folder by its path, or by a URL such as `s3://bucket/folder`.

    Raises:
        InputError: no such folder, or a URL that no installed package reads.
    """
    if "://" in str(source):
        return RemoteFiles(str(source), name)
    if not Path(source).is_dir():
        raise InputError(f"{name}: {source} does not exist, or is no folder")
    return LocalFiles(Path(source), name)


class LocalFiles:
    """Files of a folder on this machine."""

    remote = False

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder.absolute(), name
        self._open: OrderedDict[str, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __del__(self) -> None:
        for handle in self._open.values():
            os.close(handle)

    def where(self, name: str) -> str:
        """Its path."""
        return str(self.folder / name)

    def size(self, name: str) -> int:
        """As the protocol says."""
        try:
            return (self.folder / name).stat().st_size
        except OSError as error:
            raise InputError(f"{self.name}: {self.where(name)} is missing ({error.strerror})") from error

    def read(self, name: str, start: int, length: int) -> bytes:
        """As the protocol says."""
        try:
            return os.pread(
                self._handle(name), length, start
            )  # no position to share: forked processes may read at once
        except OSError as error:
            raise PhotoError(f"{self.where(name)}: can't be read ({error.strerror})") from error

    def _handle(self, name: str) -> int:
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        while len(self._open) >= MAX_OPEN:
            os.close(self._open.popitem(last=False)[1])
        self._open[name] = os.open(self.folder / name, os.O_RDONLY)
        return self._open[name]


class RemoteFiles:
    """Files behind a URL. A read that fails is tried again."""

    remote = True

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url.rstrip("/"), name
        self._system: Any = None
        self._process = 0
        self._seen: str | None = None
        self._connect()

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "name": self.name, "_system": None, "_process": 0, "_seen": self._seen}

    def where(self, name: str) -> str:
        """Its URL."""
        return f"{self.url}/{name}"

    def size(self, name: str) -> int:
        """As the protocol says."""
        try:
            size = self._try(lambda system, path: system.info(path)["size"], name)
        except FileNotFoundError as error:  # some protocols say so of a server that does not answer, too
            raise InputError(f"{self.name}: {self.where(name)} is missing, or not to be reached") from error
        except PhotoError as error:
            raise InputError(f"{self.name}: {error}") from error
        if size is None:
            raise InputError(f"{self.name}: {self.where(name)}: the server does not say how large it is")
        self._seen = self._seen or name  # the index, which every reader starts with
        return int(size)

    def read(self, name: str, start: int, length: int) -> bytes:
        """As the protocol says."""

        def fetch(system: Any, path: str) -> bytes:
            data: bytes = system.cat_file(path, start=start, end=start + length)
            if len(data) > length:
                raise OSError(f"asked for {length} bytes and got {len(data)}: the server does not serve parts of files")
            return data

        try:
            data: bytes = self._try(fetch, name)
        except (FileNotFoundError, PhotoError) as error:
            missing = f"{self.where(name)}: can't be read (it is missing)"
            failure = error if isinstance(error, PhotoError) else PhotoError(missing)
            if self._is_there():
                raise failure from error
            raise InputError(f"{self.name}: the server does not answer any more: {failure}") from error
        return data

    def _is_there(self) -> bool:
        """Whether what once answered still does: else one photo after the other would be tried, for an hour."""
        if self._seen is None:
            return True
        system, root = self._connect()
        try:
            system.cat_file(f"{root}/{self._seen}", start=0, end=1)
        except Exception:  # every protocol brings its own
            return False
        return True

    def _try(self, call: Any, name: str) -> Any:
        system, root = self._connect()
        for attempt in range(ATTEMPTS):
            try:
                return call(system, f"{root}/{name}")
            except Exception as error:  # every protocol brings its own
                if attempt == ATTEMPTS - 1:
                    if isinstance(error, FileNotFoundError):
                        raise
                    reason = " ".join(str(error).split()) or type(error).__name__
                    raise PhotoError(f"{self.where(name)}: can't be read ({reason}), tried {ATTEMPTS} times") from error
                time.sleep(_PAUSE * 2**attempt)
        raise AssertionError

    def _connect(self) -> Any:
        """File system and the path in it, by fsspec; anew in a forked process, because connections do not fork."""
        if self._process != os.getpid():
            import fsspec

            try:
                self._system = fsspec.core.url_to_fs(self.url)
            except ImportError as error:
                hint = "pip install 'lookcast[s3]'" if self.url.startswith("s3") else str(error)
                raise InputError(f"{self.name}: {self.url} needs a package that is not installed: {hint}") from error
            except ValueError as error:
                raise InputError(f"{self.name}: {self.url}: {error}") from error
            self._process = os.getpid()
        return self._system
