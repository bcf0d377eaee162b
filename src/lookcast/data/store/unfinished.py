"""The state of shards that are being written: the options, and a note for each finished shard."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.index import FILE_KEYS, INDEX, ShardPart, shard_name

FOLDER = "unfinished"
_PLAN = "plan.json"


class FinishedShard(NamedTuple):
    """A finished shard.

    Attributes:
        end: number, in the listing of the folder, of the first photo after this shard.
        bytes: size of its tar.
        records: one for each photo, see `data.store.index`.
        names: names of its photos.
        left_out: photos of its part of the listing that are not in it, `path: reason`.
    """

    end: int
    bytes: int
    records: Sequence[Sequence[int]]
    names: Sequence[str]
    left_out: Sequence[str]

    def index_part(self) -> ShardPart:
        """Return this shard's part of the index."""
        return ShardPart(np.array(self.records, np.uint32), self.bytes, self.names)


class UnfinishedShards:
    """The output folder while shards are written to it.

    Args:
        out: the folder: new, empty, or holding shards of the same plan.
        plan: the options, as plain values by their names.

    Raises:
        InputError: the folder holds something else, or shards of another plan.
    """

    def __init__(self, out: Path, plan: dict[str, Any]) -> None:
        self.out, self.folder = out, out / FOLDER
        if re.match(r"[a-z][a-z0-9+.-]+:/", str(out)):  # a path keeps only one of the slashes
            raise InputError(f"out: {out} is a URL; write the shards to a folder, and copy that")
        if out.exists() and not out.is_dir():
            raise InputError(f"out: {out} is a file, expected a folder")
        if (out / INDEX).is_file():
            self._compare(PhotoShards(out).header.description.plan, plan)
        elif (self.folder / _PLAN).is_file():
            self._compare(json.loads((self.folder / _PLAN).read_text()), plan)
        else:
            if out.is_dir() and any(path.name != FOLDER for path in out.iterdir()):
                raise InputError(f"out: {out} is not empty and holds no shards; name another folder")
            if self.folder.is_dir() and any(not path.name.startswith(".plan.") for path in self.folder.iterdir()):
                raise InputError(f"out: {self.folder} is not empty and holds no shards; name another folder")
            with atomic_write(self.folder / _PLAN) as temporary:
                temporary.write_text(json.dumps(plan))
        for temporary in (*out.glob(".[0-9]*.tar"), *out.glob(f".{Path(INDEX).stem}.*.index")):
            temporary.unlink()  # of a killed process

    def finished(self) -> list[FinishedShard]:
        """Return the finished shards up to the first missing one."""
        found: list[FinishedShard] = []
        while (note := self._note(len(found))).is_file():
            shard = FinishedShard(**json.loads(note.read_text()))
            tar = self.out / shard_name(len(found))
            if not tar.is_file() or tar.stat().st_size != shard.bytes:
                break
            found.append(shard)
        return found

    def add(self, number: int, shard: FinishedShard) -> None:
        """Write the note of a shard whose tar is complete."""
        with atomic_write(self._note(number)) as temporary:
            temporary.write_text(json.dumps(shard._asdict()))

    def remove(self) -> None:
        """Delete the notes, after the index is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self, number: int) -> Path:
        return (self.folder / shard_name(number)).with_suffix(".json")

    def _compare(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        if before == now:
            return
        names = {file_key: name for name, file_key in FILE_KEYS.items()}
        changes = [
            f"{names.get(key, key)} {before.get(key)}, now {now[key]}" for key in now if before.get(key) != now[key]
        ]
        options = "with other photos in the folder" if "photos" in changes[0] else f"with {', '.join(changes)}"
        raise InputError(f"out: {self.out} holds shards that were made {options}; name another folder, or delete it")
