"""A file that keeps disk space in reserve, so that it can be ended properly when the disk is full."""

import errno
import io
import os
import tempfile
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LEAST = 8 << 20
"""Bytes in reserve for what the container holds back: packets that wait for the other streams, and its buffers."""
_PER_PACKET = 64
"""Bytes in reserve for each packet. The index at the end of an MP4 file takes up to 30."""
_STEP = 1 << 20
"""Number of bytes by which the reserve grows."""


class SpareFile(io.FileIO):
    """A file to write whose last bytes always find space.

    The reserve is a second file without a name, which the system removes when the process ends. When the disk is full,
    the reserve is given up, and the failed write is repeated. The next call of `reserve` then reports the full disk.

    Args:
        path: an existing file, which is overwritten.

    Raises:
        OSError: the file can't be opened, or the disk has no space for the reserve.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r+b")
        self._spare = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        self._needed, self._size = _LEAST, 0
        self._full: OSError | None = None
        self.reserve(0)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write all bytes of `data`, if need be at the cost of the reserve."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                if error.errno not in _FULL or self._full is not None:
                    raise
                self._full = error
                self.give_space()
        return len(data)

    def reserve(self, packets: int) -> None:
        """Add the space for further packets to the reserve.

        Raises:
            OSError: the disk is full.
        """
        self._needed += packets * _PER_PACKET
        if self._full is None and self._needed > self._size:
            try:
                _allocate(self._spare.fileno(), self._size, self._needed + _STEP - self._size)
                self._size = self._needed + _STEP
            except OSError as error:
                self._full = error
        if self._full is not None:
            raise self._full

    def give_space(self) -> None:
        """Give the reserve back to the disk, for the end of the file."""
        self._spare.close()

    def close(self) -> None:
        """Close the file, and remove the reserve."""
        self._spare.close()
        super().close()


def _allocate(file: int, start: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, start, size)
    else:  # macOS and Windows
        os.lseek(file, start, os.SEEK_SET)
        os.write(file, bytes(size))
