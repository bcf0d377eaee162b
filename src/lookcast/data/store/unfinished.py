"""The journal of an unfinished set of shards: one line with the options, then one line for each finished shard."""

import json
import os
import re
from pathlib import Path
from typing import Any

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.index import FILE_KEYS, INDEX, FinishedShard, shard_name
from lookcast.paths import check_path

JOURNAL = "unfinished.jsonl"
"""File name of the journal, which stays in the output folder until the index is written."""


class UnfinishedShards:
    """The output folder of a set of shards that is not finished.

    Args:
        out: the output folder: a new folder, an empty folder, or a folder with shards of the same plan.
        plan: the options of `make_shards`, as JSON values.

    Attributes:
        finished: the complete shards, up to the first missing shard.

    Raises:
        InputError: the path is a URL or a file, or the folder holds other files or shards of another plan.
    """

    def __init__(self, out: Path, plan: dict[str, Any]) -> None:
        self.out, self.journal = out, out / JOURNAL
        self.finished: list[FinishedShard] = []
        if re.match(r"[a-z][a-z0-9+.-]+:/", str(out)):  # `Path` turns `//` into `/`
            raise InputError(f"out: {out} is a URL; write the shards to a folder, and copy this folder to the URL")
        if check_path(out, "out").exists() and not out.is_dir():
            raise InputError(f"out: {out} is a file, expected a folder")
        if (out / INDEX).is_file():
            self._compare(PhotoShards(out).header.description.plan, plan)
        elif self.journal.is_file():
            self._compare(self._read_journal(), plan)
        elif out.is_dir() and any(not path.name.startswith(f".{self.journal.stem}.") for path in out.iterdir()):
            raise InputError(f"out: {out} is not empty and holds no shards; name another folder")
        else:
            with atomic_write(self.journal) as temporary:
                temporary.write_text(json.dumps(plan) + "\n")
        for pattern in (".[0-9]*.tar", f".{Path(INDEX).stem}.*.index", f".{self.journal.stem}.*"):
            for temporary in out.glob(pattern):
                temporary.unlink()  # a temporary file of a killed process

    def add(self, shard: FinishedShard) -> None:
        """Add a shard whose tar is complete to the journal.

        Raises:
            InputError: the journal can't be written.
        """
        try:
            with self.journal.open("a") as file:
                file.write(json.dumps(shard._asdict()) + "\n")
        except OSError as error:
            raise InputError(f"{self.journal}: can't be written ({error.strerror})") from error
        self.finished.append(shard)

    def _read_journal(self) -> dict[str, Any]:
        """Return the plan, add the finished shards to `finished`, and cut the journal after the last finished shard."""
        foreign = InputError(f"out: {self.journal} is not a journal of shards; name another folder")
        with self.journal.open("rb") as file:
            try:
                plan = json.loads(file.readline())
            except ValueError as error:
                raise foreign from error
            if not isinstance(plan, dict):
                raise foreign
            end = file.tell()
            for line in file:
                try:
                    shard = FinishedShard(**json.loads(line))
                except (ValueError, TypeError):  # the process was killed while it wrote this line
                    break
                tar = self.out / shard_name(len(self.finished))
                if not tar.is_file() or tar.stat().st_size != shard.bytes:
                    break
                self.finished.append(shard)
                end += len(line)
        os.truncate(self.journal, end)
        return plan

    def _compare(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        if before == now:
            return
        names = {file_key: name for name, file_key in FILE_KEYS.items()}
        changes = [
            f"{names.get(key, key)} {before.get(key)}, now {now[key]}" for key in now if before.get(key) != now[key]
        ]
        options = "with other photos in the folder" if "photos" in changes[0] else f"with {', '.join(changes)}"
        raise InputError(f"out: {self.out} holds shards that were made {options}; delete this folder or name another")
