"""The index of a set of shards: one file that says where each photo lies, mapped into memory and not read.

    16 bytes   `lookcast shards` and a line feed
     4 x u32   format version, CRC-32 of description and table, bytes of the description, 0
     n bytes   description: JSON, padded with spaces to a multiple of 8
    24 a shard table: u64 number after its last photo, u64 bytes of its tar, u64 end of its names
    16 a photo records: u32 block of 512 bytes in the tar, u32 bytes, u32 bytes of the mask or 0, u32 CRC-32
     n bytes   names: a shard's are one after the other, with a zero byte between two

Everything is little-endian.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.data.sources.listing import fingerprint_of

INDEX = "shards.index"
VERSION = 1
BYTES_PER_PHOTO = 16
"""Of the index, without the names."""

_MAGIC = b"lookcast shards\n"
_FIXED = len(_MAGIC) + 16
_TABLE_ROW = 3 * 8
_UNSIGNED, _LONG = np.dtype("<u4"), np.dtype("<u8")

Records = npt.NDArray[np.uint32]


class Description(NamedTuple):
    """What holds for the whole set.

    Attributes:
        photos: how many.
        shards: how many.
        kind: how pixels are stored, one of `shard_codec.KINDS`.
        quality: of JPEG; None for other kinds.
        min_side: shorter side that larger photos were shrunk to; None for whole photos.
        masks: whether each photo has one.
        left_out: photos of the folder that could not be read.
        names_bytes: of all names.
        fingerprint: of number and names of the photos, in their order.
        plan: what was asked for when they were made.
        records_sha256: of the records, so that a copy can be told from that of other shards.
    """

    photos: int
    shards: int
    kind: str
    quality: int | None
    min_side: int | None
    masks: bool
    left_out: int
    names_bytes: int
    fingerprint: str
    plan: dict[str, Any]
    records_sha256: str


class Part(NamedTuple):
    """A shard's share of the index.

    Attributes:
        records: `(photos, 4)`.
        bytes: of its tar.
        names: of its photos.
    """

    records: Records
    bytes: int
    names: Sequence[str]


class Header(NamedTuple):
    """The front of an index.

    Attributes:
        description: of the set.
        table: `(shards, 3)`: number after the last photo, bytes, end of the names.
        records_start: byte of the file at which the records begin.
    """

    description: Description
    table: npt.NDArray[np.uint64]
    records_start: int

    @property
    def names_start(self) -> int:
        """Byte of the file at which the names begin, which is where the records end."""
        return self.records_start + BYTES_PER_PHOTO * self.description.photos

    @property
    def bytes(self) -> int:
        """Of the whole file."""
        return self.names_start + self.description.names_bytes


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"{number:06d}.tar"


def photo_key(number: int) -> str:
    """What a photo is called inside its shard, without a suffix."""
    return f"{number:09d}"


def write_index(path: Path, parts: Iterable[Part], **description: Any) -> Description:
    """Write the index of shards.

    Args:
        path: the file.
        parts: of the shards, in order.
        **description: the fields of `Description` that do not follow from the parts.
    """
    rows, records, names = [], [], []
    photos = names_end = 0
    for part in parts:
        photos += len(part.records)
        names.append(b"\0".join(map(os.fsencode, part.names)))
        names_end += len(names[-1])
        rows.append((photos, part.bytes, names_end))
        records.append(part.records)
    everything = np.concatenate(records).astype(_UNSIGNED)
    described = Description(
        photos=photos,
        shards=len(rows),
        names_bytes=names_end,
        fingerprint=fingerprint_of(b"".join(chunk + b"\0" for chunk in names)),
        records_sha256=hashlib.sha256(everything.data).hexdigest(),
        **description,
    )
    text = json.dumps(described._asdict(), indent=1).encode()
    text += b" " * (-(_FIXED + len(text)) % 8)
    table = np.array(rows, _LONG).tobytes()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + np.array([VERSION, zlib.crc32(text + table), len(text), 0], _UNSIGNED).tobytes())
        file.write(text + table)
        file.write(everything.data)
        file.writelines(names)
    return described


def read_header(read: Callable[[int, int], bytes], size: int, where: str) -> Header:
    """The front of an index, checked.

    Args:
        read: gives so many bytes from a place of the file.
        size: of the file.
        where: what messages call it.

    Raises:
        InputError: not an index, of a newer version, cut or damaged.
    """
    fixed = read(0, _FIXED)
    if fixed[: len(_MAGIC)] != _MAGIC[: len(fixed)] or not fixed:
        raise InputError(f"{where}: is no index of shards")
    damaged = InputError(f"{where}: is cut or damaged; copy it again, or make the shards again")
    if len(fixed) < _FIXED:
        raise damaged
    version, checksum, length, _ = (int(number) for number in np.frombuffer(fixed, _UNSIGNED, offset=len(_MAGIC)))
    if version > VERSION:
        raise InputError(f"{where}: has format {version}, this lookcast reads up to {VERSION}; a newer one may read it")
    text = read(_FIXED, length)
    try:
        description = Description(**json.loads(text))
        rest = read(_FIXED + length, _TABLE_ROW * description.shards)
    except (ValueError, TypeError) as error:
        raise damaged from error
    table = np.frombuffer(rest[: len(rest) // _TABLE_ROW * _TABLE_ROW], _LONG).reshape(-1, 3)
    header = Header(description, table, _FIXED + length + len(rest))
    if zlib.crc32(text + rest) != checksum or header.bytes != size:
        raise damaged
    return header


def map_records(path: Path, header: Header, offset: int) -> Records:
    """Records in a file, from a byte on: pages of memory that all processes of a machine share.

    Raises:
        InputError: the file is shorter.
    """
    shape = (header.description.photos, 4)
    try:
        records: Records = np.memmap(path, _UNSIGNED, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({error})") from error
    return records
