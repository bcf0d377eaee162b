"""A folder of photos to shards: several processes shrink and encode, one writes; what is finished stays."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import DataLoader
from tqdm import tqdm

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.data.masks import check_names, without_masks
from lookcast.data.sources.folder import find_photos
from lookcast.data.sources.listing import fingerprint_of
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.encoder import Encoded, PhotoEncoder, ShardOptions
from lookcast.data.store.index import INDEX, Description, shard_name, write_index
from lookcast.data.store.tar import ShardTar
from lookcast.data.store.unfinished import FinishedShard, UnfinishedShards
from lookcast.data.workers import usable_cores

_BATCH = 8  # photos that a process hands over at once
_DEFAULT = ShardOptions()


class Sharding(NamedTuple):
    """What became of a folder.

    Attributes:
        description: of the shards.
        bytes: of the shards and their index.
    """

    description: Description
    bytes: int


def make_shards(
    folder: Path,
    out: Path,
    masks: Path | None = None,
    options: ShardOptions = _DEFAULT,
    workers: int | None = None,
) -> Sharding:
    """Write the photos of a folder as shards, with a progress bar on a terminal; go on with what an earlier call began.

    A photo that can't be read, or whose mask is missing or does not fit, is reported and left out. Photos keep the
    order of `find_photos`. The index is written last: without it nothing counts as shards.

    Args:
        folder: the photos, searched recursively.
        out: folder for the shards; new, empty, or that of an interrupted call with the same arguments.
        masks: folder of colour masks, one PNG for each photo, named like it.
        options: what shards are made of.
        workers: processes; None is one for each core.

    Raises:
        InputError: no photo, none that can be read, photos that would share a mask, `out` holds something else or
            can't be written, options out of range.
    """
    options.check()
    workers = usable_cores() if workers is None else workers
    if workers < 1:
        raise InputError(f"jobs: expected at least 1, got {workers}")
    photos = _list_photos(folder, masks)
    names = [photo.relative_to(folder).as_posix() for photo in photos]
    fingerprint = fingerprint_of(b"".join(os.fsencode(name) + b"\0" for name in names))
    plan = {**options._asdict(), "masks": masks is not None, "photos": fingerprint}
    unfinished = UnfinishedShards(out, plan)
    if not (out / INDEX).is_file():
        _write_shards(photos, names, out, masks, options, workers, unfinished)
        parts = unfinished.finished()
        write_index(
            out / INDEX,
            (part.index_part() for part in parts),
            kind=options.kind,
            quality=options.quality if options.kind == "jpg" else None,
            min_side=options.min_side,
            masks=masks is not None,
            left_out=sum(len(part.left_out) for part in parts),
            plan=plan,
        )
    unfinished.remove()
    shards = PhotoShards(out)
    return Sharding(shards.header.description, shards.header.bytes + int(shards.header.table[:, 1].sum()))


def _list_photos(folder: Path, masks: Path | None) -> Sequence[Path]:
    if not folder.is_dir():
        raise InputError(f"photos: {folder} is not a folder")
    photos = find_photos(folder)
    if masks is None:
        return photos
    if not masks.is_dir():
        raise InputError(f"masks: {masks} is not a folder")
    photos = without_masks(photos, masks)
    check_names(photos, masks)
    return photos


def _write_shards(
    photos: Sequence[Path],
    names: Sequence[str],
    out: Path,
    masks: Path | None,
    options: ShardOptions,
    workers: int,
    unfinished: UnfinishedShards,
) -> None:
    """The shards that are missing, each followed by its part of the index."""
    finished = unfinished.finished()
    begin = finished[-1].end if finished else 0
    written = sum(len(part.records) for part in finished)
    loader: DataLoader[Any] = DataLoader(
        PhotoEncoder(photos, masks, options),
        _BATCH,
        sampler=range(begin, len(photos)),
        num_workers=workers,
        collate_fn=list,
    )
    with tqdm(total=len(photos), initial=begin, unit="photo", disable=None) as bar:
        stream = ((begin + k, encoded) for k, encoded in enumerate(_one_by_one(loader, bar)))
        pending = next(stream, None)
        number = len(finished)
        while pending is not None:
            records, own_names, left_out = [], [], []
            with atomic_write(out / shard_name(number)) as temporary, ShardTar(temporary, options.kind) as tar:
                while pending is not None and (pending[1].error or tar.has_room(pending[1], options.shard_mb * 2**20)):
                    place, encoded = pending
                    if encoded.error is not None:
                        left_out.append(encoded.error)
                        tqdm.write(f"lookcast: left out: {encoded.error}", file=sys.stderr)
                    else:
                        records.append(tar.add(written, encoded))
                        own_names.append(names[place])
                        written += 1
                    pending = next(stream, None)
                if not records:
                    raise InputError(f"photos: none of the {len(photos)} can be read, first {left_out[0]}")
            end = len(photos) if pending is None else pending[0]
            size = (out / shard_name(number)).stat().st_size
            unfinished.add(number, FinishedShard(end, size, records, own_names, left_out))
            number += 1


def _one_by_one(loader: DataLoader[Any], bar: Any) -> Iterator[Encoded]:
    for batch in loader:
        for encoded in batch:
            yield encoded
            bar.update()
