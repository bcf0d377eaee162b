"""Planning of a run: the photos to read and the files to write, checked before any photo is read or written."""

import os
import stat
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from lookcast.checks import InputError
from lookcast.photos.folder import list_photos
from lookcast.photos.read import PHOTO_SUFFIXES, check_writable


class Job(NamedTuple):
    """The paths of one photo to stylize.

    Attributes:
        source: the photo to read.
        target: the file to write.
        mask: mask file of the photo, a PNG in the nine colours of `PALETTE`; None if no masks are used.
    """

    source: Path
    target: Path
    mask: Path | None = None


def plan_jobs(photos: Sequence[Path], out: Path, masks: Path | None = None) -> list[Job]:
    """Choose the output file and the mask of each photo.

    Args:
        photos: photo files and folders. A folder stands for the photos directly in the folder.
        out: the file to write, if `photos` is one file and `out` has the suffix of a photo; otherwise the folder to
            write into.
        masks: the mask file of a single photo, or a folder that contains `STEM.png` for each photo `STEM.*`.

    Raises:
        InputError: a folder has no photos, `out` is one file for several photos, two photos share a target or a mask,
            a photo has no mask, or a target can't be written.
    """
    sources = photos_in(photos)
    single = len(photos) == 1 and not is_folder(photos[0])
    targets = [_target(source, out, single) for source in sources]
    check_distinct(zip(sources, targets, strict=True))
    if masks is not None:
        check_distinct_stems(sources)
    found = [None if masks is None else _mask_of(source, masks, single) for source in sources]
    return [Job(*job) for job in zip(sources, targets, found, strict=True)]


def photos_in(paths: Sequence[Path]) -> list[Path]:
    """Return the photo files of `paths` in the given order. Each folder is replaced by its photos, sorted by name.

    Raises:
        InputError: a folder can't be read or has no photos.
    """
    return list(chain.from_iterable(_list_folder(path) if is_folder(path) else [path] for path in paths))


def check_distinct(written: Iterable[tuple[Path, Path]]) -> None:
    """Raise an error if two sources would be written to the same file.

    Args:
        written: pairs (source, output file).

    Raises:
        InputError: two sources have the same output file; the message names both sources and the file.
    """
    taken: dict[str, Path] = {}
    for source, target in written:
        # normcase maps A.jpg and a.jpg to one name on the systems where they are the same file.
        key = os.path.normcase(os.path.realpath(target))
        other = taken.setdefault(key, source)
        if other is not source:
            raise InputError(f"{other} and {source} would both be written to {target}")


def check_distinct_stems(sources: Sequence[Path]) -> None:
    """Raise an error if two photos have the same stem, because their masks would have the same name.

    Raises:
        InputError: two photos have the same stem; the message names both photos.
    """
    named: dict[str, Path] = {}
    for source in sources:
        other = named.setdefault(source.stem, source)
        if other is not source:
            raise InputError(f"{other} and {source} would share the mask {source.stem}.png")


def check_inputs_kept(written: Iterable[Path], read: Iterable[tuple[str, Path]]) -> None:
    """Raise an error if a file to write is also a file to read, even through a link or another path.

    Args:
        written: the files to write.
        read: the files to read, as pairs (role, path). The error message states the role, such as `a style photo`.

    Raises:
        InputError: a file to write is also read; the message names the file and its role.
    """
    roles = {identity: role for role, path in read if (identity := _identity(path)) is not None}
    for path in written:
        identity = _identity(path)
        if identity in roles:
            raise InputError(f"{path}: is {roles[identity]}; --overwrite allows writing over it")


def check_place(target: Path) -> None:
    """Raise an error if a file can't be written at a path.

    Raises:
        InputError: the name is invalid, the path exists but is not a regular file, or a parent is not a folder; the
            message states the reason.
    """
    for path in (target, *target.parents):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InputError(f"{target}: can't be written ({error.strerror})") from error
        if path == target and not stat.S_ISREG(mode):
            raise InputError(f"{target}: can't be written, because it is no regular file")
        if path != target and not stat.S_ISDIR(mode):
            raise InputError(f"{target}: can't be written, because {path} is no folder")
        return


def pending_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs whose target is missing or older than the source.

    An existing target is always complete, because photos are written atomically.
    """
    return [job for job in jobs if not 0 < _modified(job.source) <= _modified(job.target)]


def rank_jobs(jobs: Sequence[Job], rank: int, count: int) -> list[Job]:
    """Return the jobs of one process. Each job belongs to exactly one process.

    Args:
        jobs: the jobs of all processes.
        rank: index of the process, from 0.
        count: number of processes.
    """
    return list(jobs[rank::count])


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False if the path can't be looked up."""
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _list_folder(folder: Path) -> list[Path]:
    photos = list_photos(folder)
    if not photos:
        raise InputError(f"{folder}: no photos directly in this folder (looked for {', '.join(PHOTO_SUFFIXES)})")
    return photos


def _target(source: Path, out: Path, single: bool) -> Path:
    if not is_folder(out) and out.suffix.lower() in {*PHOTO_SUFFIXES, *Image.registered_extensions()}:
        if not single:
            raise InputError(f"{out}: is named like one photo; several photos or a folder need an output folder")
        check_writable(out)
        check_place(out)
        return out
    check_place(out / source.name)
    return out / source.name


def _mask_of(source: Path, masks: Path, single: bool) -> Path:
    if not is_folder(masks):
        if not single:
            raise InputError(f"content-mask: {masks} is one file; several photos need a folder of masks")
        return masks
    mask = masks / f"{source.stem}.png"
    if not mask.is_file():
        raise InputError(f"content-mask: {source} has no mask, {mask} does not exist")
    return mask


def _identity(path: Path) -> tuple[int, int] | None:
    """Return (device, inode) of a file, equal for all paths and links to the file; None for a missing file."""
    status = _status(path)
    return None if status is None else (status.st_dev, status.st_ino)


def _modified(path: Path) -> float:
    status = _status(path)
    return 0.0 if status is None else status.st_mtime


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a path, or None if it can't be read. The error appears later, when the path is opened."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None
