"""Lists of photo files: streamed from folders of millions, kept in one piece of memory, remembered between runs."""

import errno
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
from lookcast.photos.read import PHOTO_SUFFIXES

log = logging.getLogger(__name__)

REMEMBERED = 20_000
"""Folders with fewer photos are listed anew each time: that takes less than a second."""
_RACY_NS = 2_000_000_000  # a folder that changed this shortly before may change again at the same time stamp
_VERSION = 1


class PathList(Sequence[Path]):
    """Paths below a folder, about 40 bytes each plus 8, in arrays that worker processes share instead of copying.

    A Python list of paths takes ten times as much, in every worker: reading an object writes its reference count.

    Args:
        root: the folder.
        names: paths relative to it, as the file system spells them, each ended by a zero byte.
    """

    def __init__(self, root: Path, names: npt.NDArray[np.uint8]) -> None:
        self.root, self.names = root, names
        self.ends = np.flatnonzero(names == 0)

    @classmethod
    def of(cls, root: Path, names: Iterable[bytes]) -> "PathList":
        """Put names one behind the other."""
        joined = bytearray()  # bytes.join would first make a list of all of them, at four times the memory
        for name in names:
            joined += name + b"\0"
        return cls(root, np.frombuffer(joined, np.uint8))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> Path:  # type: ignore[override]  # no slices
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        begin = 0 if number == 0 else self.ends[number - 1] + 1
        return self.root / os.fsdecode(self.names[begin : self.ends[number]].tobytes())


def fingerprint_of(names: bytes) -> str:
    """Short hash of names in their order, each ended by a zero byte."""
    return blake2b(names, digest_size=8).hexdigest()


def list_folder(root: Path, cache: Path | None = None) -> PathList:
    """Every photo in a folder and below it, in the order of their names; no photo is opened.

    A list of at least `REMEMBERED` photos is kept in the cache folder and used again while no folder has changed.

    Args:
        root: the folder.
        cache: `default_cache()` where None.
    """
    path = (
        default_cache() if cache is None else cache
    ) / f"{blake2b(os.fsencode(root.resolve()), digest_size=12).hexdigest()}.photos"
    known = _recall(root, path)
    if known is not None:
        return known
    began, changed = time.time_ns(), dict[str, int]()
    # Said only where it takes long; a bar for every folder of ten photos would be noise.
    bar = tqdm(_walk(root, b"", changed, set()), desc=f"listing {root}", unit=" photos", delay=2, leave=False)
    photos = PathList.of(root, bar)
    if len(photos) >= REMEMBERED and max(changed.values()) < began - _RACY_NS:
        header = json.dumps({"version": _VERSION, "changed": changed}).encode()
        try:
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                file.write(len(header).to_bytes(8, "little") + header)
                photos.names.tofile(file)
        except InputError as error:  # home folders of cluster nodes are often read-only
            log.warning("the list of %d photos is not kept for the next run: %s", len(photos), error)
    return photos


def default_cache() -> Path:
    """`$LOOKCAST_CACHE`, else `lookcast` in the user's cache folder."""
    given = os.environ.get("LOOKCAST_CACHE")
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lookcast")


def _walk(root: Path, below: bytes, changed: dict[str, int], within: set[tuple[int, int]]) -> Iterator[bytes]:
    """Names of photos relative to the root, sorted in each folder; notes when each folder was changed."""
    folder = os.path.join(os.fsencode(root), below)  # noqa: PTH118 (bytes: names need not be UTF-8)
    status = os.stat(folder)  # noqa: PTH116
    if (status.st_dev, status.st_ino) in within:  # a link to a folder that holds it
        return
    within = within | {(status.st_dev, status.st_ino)}
    changed[os.fsdecode(below)] = status.st_mtime_ns
    with os.scandir(folder) as entries:
        found = sorted((entry.name, *_kind(entry)) for entry in entries)
    for name, is_folder, is_file in found:
        path = below + b"/" + name if below else name
        if name.startswith(b"."):  # temporary files, and what systems leave beside photos
            continue
        if is_folder:
            yield from _walk(root, path, changed, within)
        elif is_file and os.path.splitext(os.fsdecode(name))[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122
            yield path


def _kind(entry: os.DirEntry[bytes]) -> tuple[bool, bool]:
    """Whether it is a folder, and whether a file."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        return False, False  # a link that leads nowhere; one to a file that is gone raises nothing


def _recall(root: Path, path: Path) -> PathList | None:
    """The remembered list, mapped from its file; None without one, or when a folder has changed since."""
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
