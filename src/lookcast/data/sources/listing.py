"""Lists of photo files in folders with millions of photos: compact in memory, and cached between runs."""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.photos.folder import scan_folder

log = logging.getLogger(__name__)

MIN_CACHED = 20_000
"""Minimum number of photos for which the list is cached. Listing fewer photos takes less than a second."""
_MIN_AGE_NS = 2_000_000_000  # a folder that changed more recently may change again with the same time stamp
_VERSION = 1


class PathList(Sequence[Path]):
    """A list of paths below a folder, stored in two arrays that worker processes share.

    A path takes about 48 bytes. A Python list would take ten times as much memory. Each worker would also copy a Python
    list, because even reading a Python object changes its reference count, and thereby its memory page.

    Args:
        root: the folder.
        names: uint8, the encoded paths relative to the folder, one after another; a zero byte ends each path.
    """

    def __init__(self, root: Path, names: npt.NDArray[np.uint8]) -> None:
        self.root, self.names = root, names
        self.ends = np.flatnonzero(names == 0)

    @classmethod
    def of(cls, root: Path, names: Iterable[bytes]) -> "PathList":
        """Build a list from paths relative to the folder."""
        joined = bytearray()  # bytes.join would first build a list of all names, which takes four times the memory
        for name in names:
            joined += name + b"\0"
        return cls(root, np.frombuffer(joined, np.uint8))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> Path:  # type: ignore[override]  # slices are not supported
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        begin = 0 if number == 0 else self.ends[number - 1] + 1
        return self.root / os.fsdecode(self.names[begin : self.ends[number]].tobytes())


def fingerprint_of(names: bytes) -> str:
    """Return a 64-bit hash of names as hexadecimal text. In `names`, a zero byte follows each name."""
    return blake2b(names, digest_size=8).hexdigest()


def list_folder(root: Path, cache: Path | None = None) -> PathList:
    """List all photos in a folder and its subfolders, sorted by name; no photo is opened.

    A list of at least `MIN_CACHED` photos is cached on disk, and used again until the folder or a subfolder changes.

    Args:
        root: the folder.
        cache: folder for cached lists; None means `default_cache()`.

    Raises:
        OSError: a folder can't be listed.
    """
    cache = default_cache() if cache is None else cache
    path = cache / f"{blake2b(os.fsencode(root.resolve()), digest_size=12).hexdigest()}.photos"
    cached = _load_list(root, path)
    if cached is not None:
        return cached
    began, changed = time.time_ns(), dict[str, int]()
    # The progress bar appears after two seconds, so small folders show no bar.
    bar = tqdm(_walk(root, b"", changed, set()), desc=f"listing {root}", unit=" photos", delay=2, leave=False)
    photos = PathList.of(root, bar)
    if len(photos) >= MIN_CACHED and max(changed.values()) < began - _MIN_AGE_NS:
        header = json.dumps({"version": _VERSION, "changed": changed}).encode()
        try:
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                file.write(len(header).to_bytes(8, "little") + header)
                photos.names.tofile(file)
        except InputError as error:  # home folders on cluster nodes are often read-only
            log.warning("the list of %d photos is not cached for the next run: %s", len(photos), error)
    return photos


def default_cache() -> Path:
    """Return the folder of the cache: `$LOOKCAST_CACHE`, or by default `lookcast` in the user's cache folder."""
    given = os.environ.get("LOOKCAST_CACHE")
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lookcast")


def _walk(root: Path, below: bytes, changed: dict[str, int], parents: set[tuple[int, int]]) -> Iterator[bytes]:
    """Yield photo paths relative to the root, sorted within each folder; store modification times in `changed`."""
    folder = os.path.join(os.fsencode(root), below)  # noqa: PTH118 (bytes: names need not be UTF-8)
    status = os.stat(folder)  # noqa: PTH116
    if (status.st_dev, status.st_ino) in parents:  # a symbolic link to a parent folder
        return
    parents = parents | {(status.st_dev, status.st_ino)}
    changed[os.fsdecode(below)] = status.st_mtime_ns
    for entry in scan_folder(folder):
        path = below + b"/" + entry.name if below else entry.name
        if entry.is_folder:
            yield from _walk(root, path, changed, parents)
        else:
            yield path


def _load_list(root: Path, path: Path) -> PathList | None:
    """Map a cached list into memory; return None if there is no cached list, or if a folder has changed."""
    if not path.is_file():
        return None
    data = np.asarray(np.memmap(path, np.uint8, "r"))  # a plain view: memmap's own slices are slow
    size = int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8 : 8 + size].tobytes())
    if header["version"] != _VERSION:
        return None
    for below, changed in header["changed"].items():
        try:
            if (root / below).stat().st_mtime_ns != changed:
                return None
        except OSError:
            return None
    return PathList(root, data[8 + size :])
