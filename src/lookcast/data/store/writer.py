"""Writer of shards: worker processes shrink and encode photos, and one process writes the tar files."""

import os
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from lookcast.atomic import atomic_write
from lookcast.checks import InputError, check_call
from lookcast.data.sources.folder import MIN_SIDE, PhotoFolder, find_photos
from lookcast.data.sources.listing import fingerprint_of
from lookcast.data.sources.masks import check_names, mask_path, without_masks
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.codec import MASK_SUFFIX, Format, encode_labels, encode_pixels
from lookcast.data.store.index import FILE_KEYS, INDEX, Description, FinishedShard, photo_key, shard_name, write_index
from lookcast.data.store.unfinished import UnfinishedShards
from lookcast.paths import check_path
from lookcast.photos.read import PhotoError
from lookcast.processes import usable_cores, worker_context

_BATCH = 8  # photos in each task of a worker
_BLOCK = tarfile.BLOCKSIZE
_MIB = 2**20


class ShardSet(NamedTuple):
    """The result of `make_shards`.

    Attributes:
        description: description of the shards.
        bytes: size of the shards and the index together, in bytes.
    """

    description: Description
    bytes: int


@check_call
def make_shards(
    folder: Path,
    out: Path,
    masks: Path | None = None,
    *,
    format: Format = "npy",
    min_side: Annotated[int, Field(ge=MIN_SIDE)] = 512,
    quality: Annotated[int, Field(ge=1, le=100)] = 95,
    shard_mb: Annotated[int, Field(ge=1, le=2**20)] = 256,
    jobs: Annotated[int, Field(ge=1, le=256)] | None = None,
) -> ShardSet:
    """Write the photos of a folder as shards, or resume an interrupted call.

    A photo is reported and left out if the photo can't be read, or if its mask is missing or does not fit. Photos keep
    the order of `find_photos`. The index is written last: a folder without an index is not a set of shards. A progress
    bar is shown on a terminal.

    Args:
        folder: folder of photos, searched recursively.
        out: folder for the shards: a new folder, an empty folder, or the folder of an earlier call with the same
            arguments.
        masks: folder of colour masks: one PNG for each photo, such as `a.png` for the photo `a.jpg`.
        format: format of the pixels.
        min_side: length in pixels to which the shorter side of larger photos is shrunk.
        quality: JPEG quality.
        shard_mb: maximum size of a shard in MiB; a photo that is larger than this gets its own shard.
        jobs: number of worker processes; None means one process for each core.

    Raises:
        InputError: an argument is out of range, there is no readable photo, two photos would share a mask, or `out`
            holds other files or can't be written.
    """
    photos = _list_photos(folder, masks)
    names = [photo.relative_to(folder).as_posix() for photo in photos]
    fingerprint = fingerprint_of(b"".join(os.fsencode(name) + b"\0" for name in names))
    options = {"format": format, "min_side": min_side, "quality": quality, "shard_mb": shard_mb}
    plan = {**options, "masks": masks is not None, "photos": fingerprint}
    plan = {FILE_KEYS.get(key, key): value for key, value in plan.items()}
    unfinished = UnfinishedShards(out, plan)
    if not (out / INDEX).is_file():
        encoder = PhotoEncoder(PhotoFolder(photos, masks, min_side), format, quality)
        _write_shards(encoder, names, shard_mb * _MIB, jobs or usable_cores(), unfinished)
        write_index(
            out / INDEX,
            unfinished.finished,
            format=format,
            quality=quality if format == "jpg" else None,
            min_side=min_side,
            masks=masks is not None,
            plan=plan,
        )
    unfinished.journal.unlink(missing_ok=True)
    header = PhotoShards(out).header
    return ShardSet(header.description, header.bytes + int(header.table[:, 1].sum()))


def _list_photos(folder: Path, masks: Path | None) -> Sequence[Path]:
    if not check_path(folder, "photos").is_dir():
        raise InputError(f"photos: {folder} is not a folder")
    photos = find_photos(folder)
    if masks is None:
        return photos
    if not check_path(masks, "masks").is_dir():
        raise InputError(f"masks: {masks} is not a folder")
    photos = without_masks(photos, masks)
    check_names(photos, masks)
    return photos


class EncodedPhoto(NamedTuple):
    """The encoded bytes of a photo and its mask. After a failure, the bytes are empty and `error` is the reason."""

    photo: bytes
    mask: bytes
    error: str | None


class PhotoEncoder(Dataset[EncodedPhoto]):
    """Dataset of shrunk and encoded photos, for the workers of a `DataLoader`."""

    def __init__(self, source: PhotoFolder, format: Format, quality: int) -> None:
        self.source, self.format, self.quality = source, format, quality

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, number: int) -> EncodedPhoto:
        photo = self.source.photos[number]
        try:
            if self.source.masks is not None and not (mask := mask_path(photo, self.source.masks)).is_file():
                raise PhotoError(f"{photo}: has no mask {mask}")
            pixels, labels = self.source.read(number)
        except PhotoError as error:  # an error of the photo or of its mask
            return EncodedPhoto(b"", b"", str(error))
        encoded = encode_pixels(pixels, self.format, self.quality)
        return EncodedPhoto(encoded, b"" if labels is None else encode_labels(labels), None)


def _write_shards(
    encoder: PhotoEncoder, names: Sequence[str], max_bytes: int, jobs: int, unfinished: UnfinishedShards
) -> None:
    """Write the missing shards, and append a line to the journal after each shard."""
    begin = unfinished.finished[-1].end if unfinished.finished else 0
    written = sum(len(shard.records) for shard in unfinished.finished)
    with tqdm(total=len(names), initial=begin, unit="photo", disable=None) as bar:
        stream = enumerate(_encoded(encoder, begin, jobs, bar), begin)
        pending = next(stream, None)
        while pending is not None:
            records, own_names, left_out, size = [], [], [], 0
            path = unfinished.out / shard_name(len(unfinished.finished))
            with atomic_write(path) as temporary, temporary.open("wb") as tar:
                while pending is not None:
                    place, encoded = pending
                    if encoded.error is not None:
                        left_out.append(encoded.error)
                        # One write, so that Ctrl-C cannot come between the line and its end.
                        tqdm.write(f"lookcast: left out: {encoded.error}\n", file=sys.stderr, end="")
                    else:
                        members = tar_members(written, encoder.format, encoded)
                        if size and tar_size(size + len(members)) > max_bytes:
                            break
                        records.append(record(size, encoded, members))
                        own_names.append(names[place])
                        size += tar.write(members)
                        written += 1
                    pending = next(stream, None)
                if not records:
                    raise InputError(f"photos: none of the {len(names)} photos can be read; first error: {left_out[0]}")
                tar.write(bytes(tar_size(size) - size))
            end = len(names) if pending is None else pending[0]
            unfinished.add(FinishedShard(end, tar_size(size), records, own_names, left_out))


def _encoded(encoder: PhotoEncoder, begin: int, jobs: int, bar: Any) -> Iterator[EncodedPhoto]:
    loader: DataLoader[Any] = DataLoader(
        encoder,
        _BATCH,
        sampler=range(begin, len(encoder)),
        num_workers=jobs,
        collate_fn=list,
        multiprocessing_context=worker_context(jobs),
    )
    for batch in loader:
        for encoded in batch:
            yield encoded
            bar.update()


def tar_members(number: int, format: Format, encoded: EncodedPhoto) -> bytes:
    """Return the bytes of the tar members of a photo and its mask, such as `000000123.jpg` and `000000123.mask.png`.

    A member consists of a header, the data, and padding to full blocks.
    """
    parts = []
    for suffix, data in ((format, encoded.photo), (MASK_SUFFIX, encoded.mask)):
        if data:
            member = tarfile.TarInfo(f"{photo_key(number)}.{suffix}")
            member.size = len(data)
            parts += [member.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % _BLOCK)]
    return b"".join(parts)


def tar_size(size: int) -> int:
    """Return the size of a tar whose members have `size` bytes in total.

    A tar ends with two empty blocks, and is padded to a multiple of `tarfile.RECORDSIZE` bytes.
    """
    return -(-(size + 2 * _BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def record(start: int, encoded: EncodedPhoto, members: bytes) -> tuple[int, int, int, int]:
    """Return the index record of a photo whose tar members begin at byte `start`; see `data.store.index`."""
    end = len(members) - -len(encoded.mask or encoded.photo) % _BLOCK  # without the padding
    return start // _BLOCK + 1, len(encoded.photo), len(encoded.mask), zlib.crc32(memoryview(members)[_BLOCK:end])
