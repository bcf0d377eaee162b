"""Edit EXIF without moving any field, because maker notes contain absolute positions of fields."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

_NAME = b"Exif\0\0"
_NAMES = re.compile(rb"\A(?:Exif\0\0)*")  # anchored at the start, so the search visits each byte once
_ORIENTATION, _DETAILS, _WIDTH, _HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003
_PREVIEWS = ((0x0201, 0x0202), (0x0111, 0x0117))  # tags (start, length): of a JPEG preview, of an uncompressed one
_SHORT, _LONG = 3, 4
_MAX_ENTRIES = 1000


class _Entry(NamedTuple):
    kind: int
    value: int
    place: int


class _Exif:
    """Access to the tags in EXIF bytes. EXIF has the layout of a TIFF without pixels."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]

    def read(self, layout: str, place: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + layout, self.data, place)

    def write(self, entry: _Entry, value: int) -> None:
        struct.pack_into(self.order + ("H" if entry.kind == _SHORT else "I"), self.data, entry.place, value)

    def entries(self, directory: int) -> Iterator[tuple[int, _Entry]]:
        """Yield (tag, entry) for each tag with an integer value in the directory at position `directory`."""
        for number in range(self.count(directory)):
            place = directory + 2 + 12 * number
            tag, kind, _ = self.read("2HI", place)
            if kind in (_SHORT, _LONG):
                yield tag, _Entry(kind, self.read("H" if kind == _SHORT else "I", place + 8)[0], place + 8)

    def count(self, directory: int) -> int:
        (count,) = self.read("H", directory)
        if count > _MAX_ENTRIES:
            raise ValueError(f"a directory of {count} entries")
        return count


def make_upright(exif: bytes, size: tuple[int, int]) -> tuple[int, bytes]:
    """Change EXIF so that it fits the upright photo: orientation 1, the size of the upright photo, no preview.

    All other bytes keep their values and positions. The function reads at most three directories of at most 1,000
    entries each, which bounds the time for malicious files.

    Args:
        exif: EXIF bytes, with or without the prefix `Exif`.
        size: width and height of the pixels in stored orientation.

    Returns:
        The stored orientation, 1 to 8, and the EXIF of the upright photo.

    Raises:
        ValueError: the EXIF is broken. Broken EXIF may also raise KeyError or struct.error.
    """
    parts = _Exif(_NAMES.sub(b"", exif, count=1))
    (first,) = parts.read("I", 4)
    tags = dict(parts.entries(first))
    orientation = 1
    if _ORIENTATION in tags:
        orientation = tags[_ORIENTATION].value if tags[_ORIENTATION].value in range(1, 9) else 1
        parts.write(tags[_ORIENTATION], 1)
    if _DETAILS in tags:
        details = dict(parts.entries(tags[_DETAILS].value))
        for tag, side in zip((_WIDTH, _HEIGHT), size if orientation < 5 else reversed(size), strict=True):
            if tag in details:
                parts.write(details[tag], side)
    end = first + 2 + 12 * parts.count(first)
    (second,) = parts.read("I", end)
    if second:
        preview = dict(parts.entries(second))
        for start, length in _PREVIEWS:
            if start in preview and length in preview:
                _erase(parts.data, preview[start].value, preview[length].value)
        struct.pack_into("I", parts.data, end, 0)
    return orientation, _NAME + bytes(parts.data)


def _erase(data: bytearray, start: int, length: int) -> None:
    if start + length >= len(data):
        del data[start:]
    else:
        data[start : start + length] = bytes(length)
