"""Photos in shards. Shards are tar files with an index, so any photo can be read with one request."""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.data.sources.base import DecodedPhoto
from lookcast.data.sources.listing import default_cache
from lookcast.data.store.codec import decode
from lookcast.data.store.index import INDEX, Header, map_records, photo_key, read_header, shard_name
from lookcast.data.store.storage import open_storage
from lookcast.photos.read import PhotoError

MAX_CHECKED_AT_ONCE = 64
"""Maximum number of remote shards for which all sizes are checked at the start.

If there are more remote shards, the size of a shard is checked when the shard is read for the first time.
"""

# Bytes of a tar block. Each file in a tar has a header of one block, and its data begins at the next block.
_BLOCK = 512
_CHUNK = 64 * 2**20


class PhotoShards:
    """A source of the photos that `lookcast shard` wrote, in the order of the original folder.

    The index is mapped into memory that all workers of a machine share, so the memory of a worker does not grow with
    the number of photos. If the shards are remote, the records of the index (one per photo) are copied once to `cache`.

    Args:
        source: the folder of the shards: a path, or a URL that fsspec knows, such as `s3://bucket/folder`.
        masks: False ignores the masks in the shards.
        cache: folder for copies of remote indexes; None means `listing.default_cache()`.

    Attributes:
        min_side: length in pixels to which the shorter side of larger photos was shrunk; None means original sizes.
        has_masks: True if the shards hold masks.
        fingerprint: hash of the number of photos and of their names in order.

    Raises:
        InputError: the folder has no shards, a shard is missing or truncated, or the index is damaged or too new.
    """

    def __init__(self, source: str | Path, masks: bool = True, cache: Path | None = None) -> None:
        self.storage = open_storage(source)
        self.header = self._read_header()
        description = self.header.description
        self.min_side, self.has_masks = description.min_side, description.masks
        self.fingerprint, self.masks = description.fingerprint, masks
        if self.storage.remote:
            self._records_file, self._records_start = self._cached_records(cache or default_cache()), 0
        else:
            self._records_file, self._records_start = Path(self.storage.where(INDEX)), self.header.records_start
        self._records = map_records(self._records_file, self.header, self._records_start)
        self._checked: set[int] = set()
        self._names: tuple[int, list[str]] = (-1, [])
        if not self.storage.remote or description.shards <= MAX_CHECKED_AT_ONCE:
            for shard in range(description.shards):
                self._check_size(shard)

    def __getstate__(self) -> dict[str, Any]:
        # Pickling a memory map would copy the mapped data.
        return {**self.__dict__, "_records": None, "_names": (-1, [])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._records = map_records(self._records_file, self.header, self._records_start)

    def __len__(self) -> int:
        return self.header.description.photos

    def read(self, number: int) -> DecodedPhoto:
        """Decode one photo, with one read of its shard.

        Raises:
            PhotoError: the photo can't be read or decoded, or the stored bytes do not match the index.
            InputError: the shard is missing, or its size is wrong.
        """
        block, length, mask_length, checksum = (int(value) for value in self._records[self._check_number(number)])
        shard = self._shard_of(number)
        if shard not in self._checked:
            self._check_size(shard)
        format, start = self.header.description.format, _BLOCK * block
        mask_start = -(-length // _BLOCK) * _BLOCK + _BLOCK  # counted from `start`; the mask follows its own header
        size = mask_start + mask_length if mask_length else length
        damaged = PhotoError(f"{self._member(shard, number)}: damaged; the stored bytes do not match the index")
        if not _BLOCK <= start <= int(self.header.table[shard][1]) - size:
            raise damaged
        data = memoryview(self.storage.read(shard_name(shard), start - _BLOCK, _BLOCK + size))
        header, data = bytes(data[:_BLOCK]), data[_BLOCK:]
        right = header.startswith(f"{photo_key(number)}.{format}\0".encode()) and header[124:135] == b"%011o" % length
        if not right or len(data) != size or zlib.crc32(data) != checksum:
            raise damaged
        try:
            return decode(data[:length], data[mask_start:] if mask_length and self.masks else None, format)
        except ValueError as error:
            raise PhotoError(f"{self._member(shard, number)}: can't be decoded ({error})") from error

    def name(self, number: int) -> str:
        """Return the path of a photo's file in the original folder.

        Raises:
            PhotoError: the index can't be read, or its names are damaged.
        """
        shard = self._shard_of(self._check_number(number))
        first, start = (int(value) for value in self.header.table[shard - 1][[0, 2]]) if shard else (0, 0)
        if self._names[0] != shard:
            data = self.storage.read(INDEX, self.header.names_start + start, int(self.header.table[shard][2]) - start)
            names = [os.fsdecode(name) for name in data.split(b"\0")]
            if len(names) != int(self.header.table[shard][0]) - first:
                raise PhotoError(f"{self.storage.where(INDEX)}: damaged; a shard's names and photos differ in number")
            self._names = shard, names
        return self._names[1][number - first]

    def _check_number(self, number: int) -> int:
        if not 0 <= number < len(self):
            raise IndexError(f"photo {number} of {len(self)}")
        return number

    def _shard_of(self, number: int) -> int:
        return int(np.searchsorted(self.header.table[:, 0], number, side="right"))

    def _member(self, shard: int, number: int) -> str:
        return f"{self.storage.where(shard_name(shard))}/{photo_key(number)}.{self.header.description.format}"

    def _check_size(self, shard: int) -> None:
        name, expected = shard_name(shard), int(self.header.table[shard][1])
        size = self.storage.size(name)
        if size != expected:
            where = self.storage.where(name)
            raise InputError(
                f"shards: {where} has {size} bytes, but the index expects {expected}; cut, or of other shards"
            )
        self._checked.add(shard)

    def _read_header(self) -> Header:
        try:
            size = self.storage.size(INDEX)
        except InputError as error:
            hint = "lookcast shard writes the index last; run the same command again to resume"
            raise InputError(f"{error}; {hint}") from error
        try:
            where = f"shards: {self.storage.where(INDEX)}"
            return read_header(lambda start, length: self.storage.read(INDEX, start, length), size, where)
        except PhotoError as error:  # a PhotoError would make training skip a photo
            raise InputError(f"shards: {error}") from error

    def _cached_records(self, cache: Path) -> Path:
        """Return the path of a cached copy of the records of a remote index; copy the records if they are not cached.

        The file name of the copy is the hash of the records.
        """
        path = cache / f"{self.header.description.records_sha256}.records"
        start, end = self.header.records_start, self.header.names_start
        if path.is_file() and path.stat().st_size == end - start:
            return path
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            for chunk in range(start, end, _CHUNK):
                file.write(self.storage.read(INDEX, chunk, min(_CHUNK, end - chunk)))
        return path
