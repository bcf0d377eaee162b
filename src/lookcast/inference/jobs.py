"""The photos to stylize and the file that each becomes: decided before anything is read or written."""

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
    """One photo to stylize.

    Attributes:
        source: the photo.
        target: the file to write.
        mask: its regions, a PNG in the nine colours; None without masks.
    """

    source: Path
    target: Path
    mask: Path | None = None


def plan_jobs(photos: Sequence[Path], out: Path, masks: Path | None = None) -> list[Job]:
    """Decide which file each photo becomes.

    Args:
        photos: files, or folders that stand for the photos directly in them.
        out: the file to write if `photos` is one file and `out` ends like a photo; otherwise the folder to write into.
        masks: the mask of a single photo, or a folder with a PNG for each, named like it.

    Raises:
        InputError: a folder without photos, several photos for one file, two photos for one target or one mask, a photo
            without its mask, or a target that no folder can hold.
    """
    sources = photos_in(photos)
    single = len(photos) == 1 and not _is_folder(photos[0])
    targets = [_target(source, out, single) for source in sources]
    check_distinct(zip(sources, targets, strict=True))
    if masks is not None:
        check_distinct_stems(sources)
    found = [None if masks is None else _mask_of(source, masks, single) for source in sources]
    return [Job(*job) for job in zip(sources, targets, found, strict=True)]


def photos_in(paths: Sequence[Path]) -> list[Path]:
    """Return photos as they are named; a folder stands for the photos directly in it, sorted by name.

    Raises:
        InputError: a folder that can't be read, or without photos.
    """
    return list(chain.from_iterable(_list_folder(path) if _is_folder(path) else [path] for path in paths))


def check_distinct(written: Iterable[tuple[Path, Path]]) -> None:
    """Refuse two sources for one file.

    Args:
        written: a source and a file that it becomes.

    Raises:
        InputError: names both sources and the file.
    """
    taken: dict[str, Path] = {}
    for source, target in written:
        # normcase: on some systems A.jpg and a.jpg are one file.
        key = os.path.normcase(os.path.realpath(target))
        other = taken.setdefault(key, source)
        if other is not source:
            raise InputError(f"{other} and {source} would both be written to {target}")


def check_distinct_stems(sources: Sequence[Path]) -> None:
    """Refuse two photos that would share the name of a mask.

    Raises:
        InputError: names them.
    """
    named: dict[str, Path] = {}
    for source in sources:
        other = named.setdefault(source.stem, source)
        if other is not source:
            raise InputError(f"{other} and {source} would share the mask {source.stem}.png")


def check_inputs_kept(written: Iterable[Path], read: Iterable[tuple[str, Path]]) -> None:
    """Refuse to write over a file that is read, under whatever name or link it is reached.

    Args:
        written: the files to write.
        read: the files to read, each with its role for the message.

    Raises:
        InputError: names the file and its role.
    """
    roles = {identity: role for role, path in read if (identity := _identity(path)) is not None}
    for path in written:
        identity = _identity(path)
        if identity in roles:
            raise InputError(f"{path}: is {roles[identity]}; --overwrite allows writing over it")


def check_place(target: Path) -> None:
    """Refuse a file that can't exist, because of its name or because of what stands in its place or on the way to it.

    Raises:
        InputError: names the obstacle.
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
    """Return the jobs whose target is missing or older than its photo. A target that exists is complete."""
    return [job for job in jobs if not 0 < _modified(job.source) <= _modified(job.target)]


def rank_jobs(jobs: Sequence[Job], rank: int, count: int) -> list[Job]:
    """Return the part of process `rank` of `count`; every job is in one part."""
    return list(jobs[rank::count])


def _list_folder(folder: Path) -> list[Path]:
    photos = list_photos(folder)
    if not photos:
        raise InputError(f"{folder}: no photos directly in this folder (looked for {', '.join(PHOTO_SUFFIXES)})")
    return photos


def _target(source: Path, out: Path, single: bool) -> Path:
    if not _is_folder(out) and out.suffix.lower() in {*PHOTO_SUFFIXES, *Image.registered_extensions()}:
        if not single:
            raise InputError(f"{out}: is named like one photo; several photos, or those of a folder, need a folder")
        check_writable(out)
        check_place(out)
        return out
    check_place(out / source.name)
    return out / source.name


def _mask_of(source: Path, masks: Path, single: bool) -> Path:
    if not _is_folder(masks):
        if not single:
            raise InputError(f"content-mask: {masks} is one file; several photos need a folder of masks")
        return masks
    mask = masks / f"{source.stem}.png"
    if not mask.is_file():
        raise InputError(f"content-mask: {source} has none, {mask} does not exist")
    return mask


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the same for all paths to one file, through links of either kind; None for a missing file."""
    status = _status(path)
    return None if status is None else (status.st_dev, status.st_ino)


def _is_folder(path: Path) -> bool:
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _modified(path: Path) -> float:
    status = _status(path)
    return 0.0 if status is None else status.st_mtime


def _status(path: Path) -> os.stat_result | None:
    """Return None for a path that can't be read, a name that is too long included; its reader says why."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None
