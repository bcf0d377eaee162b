"""Photos in shards: tar files and an index, so that any photo is one read away."""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.data.decoded import DecodedPhoto
from lookcast.data.sources.listing import default_cache
from lookcast.data.store.codec import decode_member
from lookcast.data.store.index import INDEX, Header, map_records, photo_key, read_header, shard_name
from lookcast.data.store.storage import RangedFiles, open_folder
from lookcast.photos.read import PhotoError

MOST_CHECKED_AT_ONCE = 64
"""Shards behind a URL whose sizes are asked for when a set is opened; those of more when each is first read."""

_BLOCK = 512  # of tar: each file begins at a multiple of it, behind a header as long
_CHUNK = 64 * 2**20


class PhotoShards:
    """Photos that `lookcast shard` wrote, by their number: photo k is the k-th of the folder they were made from.

    What it holds in memory does not grow with the number of photos: the index is mapped, and the worker processes of a
    machine share its pages. Behind a URL the index is copied once to `cache`.

    Args:
        source: the folder of the shards: a path, or a URL that fsspec knows, such as `s3://bucket/folder`.
        masks: whether photos come with the labels of their masks; False leaves them where they are.
        cache: folder for the indexes of remote shards; None is `listing.default_cache()`.

    Attributes:
        min_side: shorter side that larger photos were shrunk to; None for whole photos.
        has_masks: whether there are masks in the shards.
        fingerprint: of number and names of the photos, in their order.

    Raises:
        InputError: no shards there, shards that are missing or cut, an index that is damaged or of a newer format.
    """

    def __init__(self, source: str | Path, masks: bool = True, cache: Path | None = None) -> None:
        self.files: RangedFiles = open_folder(source)
        self.header = self._read_header()
        description = self.header.description
        self.min_side, self.has_masks = description.min_side, description.masks
        self.fingerprint, self.masks = description.fingerprint, masks
        if self.files.remote:
            self._records_file, self._records_start = self._cached_records(cache or default_cache()), 0
        else:
            self._records_file, self._records_start = Path(self.files.where(INDEX)), self.header.records_start
        self._records = map_records(self._records_file, self.header, self._records_start)
        self._checked: set[int] = set()
        self._names: tuple[int, list[str]] = (-1, [])
        if not self.files.remote or description.shards <= MOST_CHECKED_AT_ONCE:
            for shard in range(description.shards):
                self._check_size(shard)

    def __getstate__(self) -> dict[str, Any]:
        # A pickled map would be a copy of all of it.
        return {**self.__dict__, "_records": None, "_names": (-1, [])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._records = map_records(self._records_file, self.header, self._records_start)

    def __len__(self) -> int:
        return self.header.description.photos

    def read(self, number: int) -> DecodedPhoto:
        """Read and decode one photo, by one read of its shard.

        Raises:
            PhotoError: the read fails, or what it gives is not this photo.
            InputError: its shard is missing, or has not the size it should have.
        """
        block, length, mask_length, checksum = (int(value) for value in self._records[self._check_number(number)])
        shard = self._shard_of(number)
        if shard not in self._checked:
            self._check_size(shard)
        kind, start = self.header.description.kind, _BLOCK * block
        mask_start = -(-length // _BLOCK) * _BLOCK + _BLOCK  # from the photo's first byte: the mask's header is between
        needed = mask_start + mask_length if mask_length else length
        damaged = PhotoError(f"{self._member(shard, number)}: damaged, not the photo that was written")
        if not _BLOCK <= start <= int(self.header.table[shard][1]) - needed:
            raise damaged
        data = memoryview(self.files.read(shard_name(shard), start - _BLOCK, _BLOCK + needed))
        header, data = bytes(data[:_BLOCK]), data[_BLOCK:]
        right = header.startswith(f"{photo_key(number)}.{kind}\0".encode()) and header[124:135] == b"%011o" % length
        if not right or len(data) != needed or zlib.crc32(data) != checksum:
            raise damaged
        try:
            return decode_member(data[:length], data[mask_start:] if mask_length and self.masks else None, kind)
        except ValueError as error:
            raise PhotoError(f"{self._member(shard, number)}: can't be decoded ({error})") from error

    def name(self, number: int) -> str:
        """Path of a photo's file in the folder that the shards were made from.

        Raises:
            PhotoError: the index can't be read.
        """
        shard = self._shard_of(self._check_number(number))
        if self._names[0] != shard:
            _, _, end = self.header.table[shard]
            start = int(self.header.table[shard - 1][2]) if shard else 0
            data = self.files.read(INDEX, self.header.names_start + start, int(end) - start)
            self._names = shard, [os.fsdecode(name) for name in data.split(b"\0")]
        return self._names[1][number - self._first_of(shard)]

    def _check_number(self, number: int) -> int:
        if not 0 <= number < len(self):
            raise IndexError(f"photo {number} of {len(self)}")
        return number

    def _shard_of(self, number: int) -> int:
        return int(np.searchsorted(self.header.table[:, 0], number, side="right"))

    def _first_of(self, shard: int) -> int:
        return int(self.header.table[shard - 1][0]) if shard else 0

    def _member(self, shard: int, number: int) -> str:
        return f"{self.files.where(shard_name(shard))}/{photo_key(number)}.{self.header.description.kind}"

    def _check_size(self, shard: int) -> None:
        name, expected = shard_name(shard), int(self.header.table[shard][1])
        size = self.files.size(name)
        if size != expected:
            raise InputError(
                f"shards: {self.files.where(name)} has {size} bytes, its index says {expected}: cut, or of other shards"
            )
        self._checked.add(shard)

    def _read_header(self) -> Header:
        where = f"shards: {self.files.where(INDEX)}"
        try:
            size = self.files.size(INDEX)
        except InputError as error:
            hint = "lookcast shard makes shards and writes the index last; the same command again goes on"
            raise InputError(f"{error}; {hint}") from error
        try:
            return read_header(lambda start, length: self.files.read(INDEX, start, length), size, where)
        except PhotoError as error:  # no photo is at fault
            raise InputError(f"shards: {error}") from error

    def _cached_records(self, cache: Path) -> Path:
        """Copy the records of a remote index, unless these very ones are there: their name is their hash."""
        path = cache / f"{self.header.description.records_sha256}.records"
        start, end = self.header.records_start, self.header.names_start
        if path.is_file() and path.stat().st_size == end - start:
            return path
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            for place in range(start, end, _CHUNK):
                file.write(self.files.read(INDEX, place, min(_CHUNK, end - place)))
        return path
