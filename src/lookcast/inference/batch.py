"""Photo files through a Stylizer: which file goes where, then one after the other."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lookcast.checks import InputError
from lookcast.inference.photo_io import PHOTO_SUFFIXES, PhotoError, check_writable, read_photo, write_photo
from lookcast.inference.stylizer import Stylizer


class Job(NamedTuple):
    """One photo to stylize.

    Attributes:
        source: the photo.
        target: the file to write.
    """

    source: Path
    target: Path


def plan_jobs(photos: Sequence[Path], out: Path, overwrite: bool = False) -> list[Job]:
    """Decide which file each photo becomes, before anything is read or written.

    Args:
        photos: files, or folders that stand for the photos directly in them.
        out: the file to write if `photos` is one file and `out` ends like a photo; otherwise the folder to write into.
        overwrite: a photo may be written over another that is read.

    Raises:
        InputError: a folder without photos, several photos for one file, two photos of the same name, or a photo that
            would be written over.
    """
    sources = [source for photo in photos for source in (_photos_in(photo) if photo.is_dir() else [photo])]
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
    return [Job(source, target) for source, target in zip(sources, targets, strict=True)]


def stylize_file(stylizer: Stylizer, job: Job, strength: float = 1.0) -> None:
    """Read, stylize, write.

    Raises:
        PhotoError: this photo can't be read, or its format can't be written.
        InputError: the file can't be written, or the stylizer does not fit.
    """
    photo = read_photo(job.source)
    check_writable(job.target)  # before the work, not after
    write_photo(job.target, photo._replace(pixels=stylizer.stylize(photo.pixels, strength=strength)))


def stylize_files(stylizer: Stylizer, jobs: Sequence[Job], strength: float = 1.0) -> list[PhotoError]:
    """Stylize photo after photo with a progress bar on a terminal; report a photo that fails and go on.

    Returns:
        What failed, in the order of the jobs.

    Raises:
        InputError: what the next photo would fail on too: the output folder can't be written, a strength out of range.
    """
    failures = []
    with logging_redirect_tqdm():
        for job in tqdm(jobs, unit="photo", disable=None):
            try:
                stylize_file(stylizer, job, strength)
            except PhotoError as error:
                failures.append(error)
                tqdm.write(f"lookcast: skipped: {error}", file=sys.stderr)
    return failures


def _photos_in(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror})") from error
    photos = [file for file in files if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file()]
    if not photos:
        raise InputError(f"{folder}: no photos directly in this folder (looked for {', '.join(PHOTO_SUFFIXES)})")
    return photos


def _target(source: Path, out: Path, single: bool) -> Path:
    if not out.is_dir() and out.suffix.lower() in Image.registered_extensions():
        if not single:
            raise InputError(f"{out}: is named like one photo; several photos, or those of a folder, need a folder")
        check_writable(out)
        return out
    return out / source.name


def _identity(path: Path) -> tuple[int, int]:
    """The same for two paths to one file, through links of either kind."""
    status = path.stat()
    return status.st_dev, status.st_ino
