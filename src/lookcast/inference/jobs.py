"""Which photos are to be stylized, and which file each becomes: decided before anything is read or written."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from lookcast.checks import InputError
from lookcast.photos.read import PHOTO_SUFFIXES, check_writable


class Job(NamedTuple):
    """One photo to stylize.

    Attributes:
        source: the photo.
        target: the file to write.
        mask: its regions, a PNG in the nine colours; None without.
    """

    source: Path
    target: Path
    mask: Path | None = None


def plan_jobs(
    photos: Sequence[Path],
    out: Path,
    overwrite: bool = False,
    masks: Path | None = None,
    save_masks: Path | None = None,
) -> list[Job]:
    """Decide which file each photo becomes.

    Args:
        photos: files, or folders that stand for the photos directly in them.
        out: the file to write if `photos` is one file and `out` ends like a photo; otherwise the folder to write into.
        overwrite: a photo may be written over another that is read.
        masks: the mask of a single photo, or a folder with a PNG for each, named like it.
        save_masks: folder that gets a PNG for each, named like it.

    Raises:
        InputError: a folder without photos, several photos for one file, two photos of the same name or of the same
            mask, a photo that would be written over, or one without its mask.
    """
    sources = list_photos(photos)
    single = len(photos) == 1 and not photos[0].is_dir()
    targets = [_target(source, out, single) for source in sources]
    taken: dict[str, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        # normcase: on some systems A.jpg and a.jpg are one file.
        other = taken.setdefault(os.path.normcase(target), source)
        if other is not source:
            raise InputError(f"{other} and {source} would both be written to {target}")
    if not overwrite:
        read = {_identity(source) for source in sources if source.exists()}
        for target in targets:
            if target.exists() and _identity(target) in read:
                raise InputError(f"{target}: is one of the photos to read; --overwrite writes over it")
    if masks is not None or save_masks is not None:
        named: dict[str, Path] = {}
        for source in sources:
            other = named.setdefault(source.stem, source)
            if other is not source:
                raise InputError(f"{other} and {source} would share the mask {source.stem}.png")
    found = [None if masks is None else _mask_of(source, masks, single) for source in sources]
    return [Job(*job) for job in zip(sources, targets, found, strict=True)]


def list_photos(paths: Sequence[Path]) -> list[Path]:
    """Photos as they are named; a folder stands for the photos directly in it, by name.

    Raises:
        InputError: a folder that can't be read, or without photos.
    """
    return [photo for path in paths for photo in (_photos_in(path) if path.is_dir() else [path])]


def pending_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Those whose file is not there yet, or older than its photo. A file that is there is whole."""
    return [job for job in jobs if not (job.target.is_file() and _changed(job.target) >= _changed(job.source))]


def rank_jobs(jobs: Sequence[Job], rank: int, count: int) -> list[Job]:
    """The part of process `rank` of `count`: every photo is in one part.

    Raises:
        InputError: there is no such process.
    """
    if not 0 <= rank < count:
        raise InputError(f"--share: expected I/N with I from 0 to N - 1, got {rank}/{count}")
    return list(jobs[rank::count])


def _photos_in(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror})") from error
    # Hidden files are other programs' notes on a photo, or what a process that was killed left behind.
    seen = [file for file in files if not file.name.startswith(".")]
    photos = [file for file in seen if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file()]
    if not photos:
        raise InputError(f"{folder}: no photos directly in this folder (looked for {', '.join(PHOTO_SUFFIXES)})")
    return photos


def _target(source: Path, out: Path, single: bool) -> Path:
    if not out.is_dir() and out.suffix.lower() in {*PHOTO_SUFFIXES, *Image.registered_extensions()}:
        if not single:
            raise InputError(f"{out}: is named like one photo; several photos, or those of a folder, need a folder")
        check_writable(out)
        return out
    return out / source.name


def _mask_of(source: Path, masks: Path, single: bool) -> Path:
    if not masks.is_dir():
        if not single:
            raise InputError(f"content-mask: {masks} is one file; several photos need a folder of masks")
        return masks
    mask = masks / f"{source.stem}.png"
    if not mask.is_file():
        raise InputError(f"content-mask: {source} has none, {mask} does not exist")
    return mask


def _identity(path: Path) -> tuple[int, int]:
    """The same for two paths to one file, through links of either kind."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
