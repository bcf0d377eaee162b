"""Shards before all of them are there: what was asked for, and each finished one's part of the index."""

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
from lookcast.data.store.index import INDEX, Part, shard_name
from lookcast.data.store.tar import Record

FOLDER = "unfinished"
_PLAN = "plan.json"


class FinishedShard(NamedTuple):
    """A shard that is written.

    Attributes:
        end: number in the folder's listing of the first photo behind it.
        bytes: of its tar.
        records: of its photos.
        names: of its photos.
        left_out: photos of its stretch of the listing that are not in it, `path: reason`.
    """

    end: int
    bytes: int
    records: Sequence[Record]
    names: Sequence[str]
    left_out: Sequence[str]

    def index_part(self) -> Part:
        """What the index says of it."""
        return Part(np.array(self.records, np.uint32), self.bytes, self.names)


class UnfinishedShards:
    """The folder of the shards, while they are written.

    Args:
        out: where shards go: new, empty, or begun with the same plan.
        plan: what is asked for; plain values.

    Raises:
        InputError: the folder holds something else, or shards of another plan.
    """

    def __init__(self, out: Path, plan: dict[str, Any]) -> None:
        self.out, self.folder = out, out / FOLDER
        if re.match(r"[a-z][a-z0-9+.-]+:/", str(out)):  # of the slashes, a path keeps one
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
        for leftover in (*out.glob(".[0-9]*.tar"), *out.glob(f".{Path(INDEX).stem}.*.index")):
            leftover.unlink()  # of a process that was killed

    def finished(self) -> list[FinishedShard]:
        """The shards that are there, up to the first that is not."""
        found: list[FinishedShard] = []
        while (path := self._part(len(found))).is_file():
            shard = FinishedShard(**json.loads(path.read_text()))
            tar = self.out / shard_name(len(found))
            if not tar.is_file() or tar.stat().st_size != shard.bytes:
                break
            found.append(shard)
        return found

    def add(self, number: int, shard: FinishedShard) -> None:
        """Note a shard whose tar is in its place."""
        with atomic_write(self._part(number)) as temporary:
            temporary.write_text(json.dumps(shard._asdict()))

    def remove(self) -> None:
        """Forget all this, once the index is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return (self.folder / shard_name(number)).with_suffix(".json")

    def _compare(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        if before == now:
            return
        changes = [f"{key} {before.get(key)}, now {now[key]}" for key in now if before.get(key) != now[key]]
        what = "with other photos in the folder" if "photos" in changes[0] else f"with {', '.join(changes)}"
        raise InputError(f"out: {self.out} holds shards that were made {what}; name another folder, or delete it")
