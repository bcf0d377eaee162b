"""The index of a set of shards: one file that tells where in the shards each photo lies.

Readers map the records, one for each photo, into memory. The file consists of these parts:

    16 bytes            `lookcast shards` and a line feed
    4 x u32             format version; CRC-32 of description and table; size of the description; 0
    n bytes             description: JSON, padded with spaces to a multiple of 8 bytes
    24 bytes per shard  table: u64 number of the last photo + 1; u64 size of the tar; u64 end of the shard's names
    16 bytes per photo  records: u32 number of the first 512-byte block of the photo in the tar; u32 size of the photo;
                        u32 size of the mask, or 0; u32 CRC-32 of the tar's bytes from the
                        first byte of the photo to the last byte of the mask
    n bytes             names of the photos; zero bytes separate the names of a shard

All numbers are little-endian, all sizes are in bytes. The end of a shard's names is counted from the
start of all names.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.data.sources.listing import fingerprint_of
from lookcast.data.store.codec import Format

INDEX = "shards.index"
VERSION = 1

_MAGIC = b"lookcast shards\n"
_FIXED_BYTES = len(_MAGIC) + 16
_ROW_BYTES, _RECORD_BYTES = 3 * 8, 16
_U32, _U64 = np.dtype("<u4"), np.dtype("<u8")
# Fields of `Description` with another key in the file, because version 1 was published with these keys.
FILE_KEYS = {"format": "kind", "min_side": "shortest"}

Records = npt.NDArray[np.uint32]


class Description(NamedTuple):
    """Description of a set of shards.

    Attributes:
        photos, shards: number of photos and number of shards.
        format: format of the pixels.
        quality: JPEG quality; None for other formats.
        min_side: length in pixels to which the shorter side of larger photos was shrunk; None means original sizes.
        masks: True if every photo has a mask.
        left_out: number of photos that were left out because the photo or its mask is unusable.
        names_bytes: size of all names in bytes.
        fingerprint: hash of the number of photos and of their names in order.
        plan: options with which `make_shards` was called.
        records_sha256: SHA-256 of the records, which identifies a copy of the records.
    """

    photos: int
    shards: int
    format: Format
    quality: int | None
    min_side: int | None
    masks: bool
    left_out: int
    names_bytes: int
    fingerprint: str
    plan: dict[str, Any]
    records_sha256: str


class FinishedShard(NamedTuple):
    """A shard whose tar is complete.

    Attributes:
        end: position in the folder's list of photos at which the next shard begins.
        bytes: size of the tar in bytes.
        records: one record for each photo, as in the index.
        names: names of the photos in the shard.
        left_out: one text `path: reason` for each photo that was left out while this shard was written.
    """

    end: int
    bytes: int
    records: Sequence[Sequence[int]]
    names: Sequence[str]
    left_out: Sequence[str]


class Header(NamedTuple):
    """The beginning of an index, before the records.

    Attributes:
        description: description of the set.
        table: `(shards, 3)`: a row for each shard. The docstring of this module lists the three columns.
        records_start: offset of the records in the file, in bytes.
    """

    description: Description
    table: npt.NDArray[np.uint64]
    records_start: int

    @property
    def names_start(self) -> int:
        """Offset of the names in the file, in bytes."""
        return self.records_start + _RECORD_BYTES * self.description.photos

    @property
    def bytes(self) -> int:
        """Size of the index file in bytes."""
        return self.names_start + self.description.names_bytes


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"{number:06d}.tar"


def photo_key(number: int) -> str:
    """Return the name of a photo inside its shard, without suffix."""
    return f"{number:09d}"


def write_index(path: Path, shards: Sequence[FinishedShard], **description: Any) -> None:
    """Write the index of shards.

    Args:
        path: the index file.
        shards: all shards, in order.
        **description: the fields of `Description` that can't be computed from the shards.
    """
    records = np.concatenate([np.array(shard.records, _U32) for shard in shards])
    names = [b"\0".join(map(os.fsencode, shard.names)) for shard in shards]
    columns = ([len(shard.records) for shard in shards], [len(chunk) for chunk in names])
    photos, names_ends = (np.cumsum(column, dtype=_U64) for column in columns)
    fields = Description(
        photos=len(records),
        shards=len(shards),
        names_bytes=int(names_ends[-1]),
        fingerprint=fingerprint_of(b"".join(chunk + b"\0" for chunk in names)),
        left_out=sum(len(shard.left_out) for shard in shards),
        records_sha256=hashlib.sha256(records.data).hexdigest(),
        **description,
    )._asdict()
    text = json.dumps({FILE_KEYS.get(key, key): value for key, value in fields.items()}, indent=1).encode()
    text += b" " * (-(_FIXED_BYTES + len(text)) % 8)
    table = np.stack([photos, np.array([shard.bytes for shard in shards], _U64), names_ends], 1).tobytes()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + np.array([VERSION, zlib.crc32(text + table), len(text), 0], _U32).tobytes())
        file.write(text + table)
        file.write(records.data)
        file.writelines(names)


def read_header(read: Callable[[int, int], bytes], size: int, where: str) -> Header:
    """Read and check the beginning of an index.

    Args:
        read: function `read(start, length)` that reads `length` bytes of the file from the offset `start`.
        size: size of the file in bytes.
        where: name of the file in messages.

    Raises:
        InputError: the file is not an index, has a newer format, or is truncated or damaged.
    """
    fixed = read(0, _FIXED_BYTES)
    if fixed[: len(_MAGIC)] != _MAGIC[: len(fixed)] or not fixed:
        raise InputError(f"{where}: is no index of shards")
    damaged = InputError(f"{where}: is cut or damaged; copy it again, or make the shards again")
    if len(fixed) < _FIXED_BYTES:
        raise damaged
    version, checksum, length, _ = (int(number) for number in np.frombuffer(fixed, _U32, offset=len(_MAGIC)))
    if version > VERSION:
        raise InputError(f"{where}: has format {version}, this lookcast reads up to {VERSION}; update lookcast")
    if length > size:
        raise damaged
    text = read(_FIXED_BYTES, length)
    try:
        fields = json.loads(text)
        values = {key: fields.pop(FILE_KEYS.get(key, key)) for key in Description._fields}
        description = TypeAdapter(Description).validate_python(values, strict=True)
        table_bytes = _ROW_BYTES * description.shards
        rest = read(_FIXED_BYTES + length, table_bytes) if 0 < table_bytes < size else b""
        table = np.frombuffer(rest, _U64).reshape(-1, 3)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged from error
    header = Header(description, table, _FIXED_BYTES + length + len(rest))
    # The hash becomes a file name in the cache, so it must be nothing but a hash.
    if not re.fullmatch("[0-9a-f]{64}", description.records_sha256):
        raise damaged
    if zlib.crc32(text + rest) != checksum or header.bytes != size or not _is_consistent(header):
        raise damaged
    return header


def _is_consistent(header: Header) -> bool:
    """Return whether the numbers of photos and names in the table rise to those in the description."""
    photos, _, names = header.table.T
    last = header.description.photos, header.description.names_bytes
    rising = all((column[1:] >= column[:-1]).all() for column in (photos, names))
    return rising and len(photos) > 0 and (int(photos[-1]), int(names[-1])) == last


def map_records(path: Path, header: Header, offset: int) -> Records:
    """Map the records in a file into memory, which all processes of a machine share.

    Return `(photos, 4)`: a row for each photo. The docstring of this module lists the four columns.

    Raises:
        InputError: the file can't be read, or is too short.
    """
    try:
        return np.memmap(path, _U32, mode="r", offset=offset, shape=(header.description.photos, 4))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({error})") from error
