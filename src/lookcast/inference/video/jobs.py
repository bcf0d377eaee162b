"""Planning of clips to stylize: which inputs are clips, and where their outputs and masks are."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from lookcast.checks import InputError
from lookcast.inference.jobs import Job, check_distinct, check_distinct_stems, check_place, is_folder
from lookcast.photos.folder import list_photos
from lookcast.photos.write import PHOTO_SUFFIXES, check_writable

CLIP_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".mxf", ".wmv",
)  # fmt: skip
"""Suffixes of the files that count as clips."""
PATTERN = re.compile(r"%(?:0\d)?d")
"""The place of the number in the name of a sequence of images."""


def is_pattern(path: Path) -> bool:
    """Return whether a path names a sequence of images, such as `frames/%05d.png`."""
    return len(PATTERN.findall(path.name)) == 1


def writes_images(target: Path) -> bool:
    """Return whether an output is a sequence of images: a pattern, or the folder of the frames."""
    return is_pattern(target) or target.suffix.lower() not in CLIP_SUFFIXES


def part_path(target: Path) -> Path:
    """Return the file that gets the first part of a clip if its writing stops: `STEM.part.SUFFIX`."""
    return target.with_name(f"{target.stem}.part{target.suffix}")


def frame_files(frames: Path) -> list[Path]:
    """Return the files of the frames for which a folder or a pattern stands.

    Raises:
        InputError: the folder can't be read.
    """
    return numbered_files(frames) if is_pattern(frames) else list_photos(frames)


def check_frames_kept(jobs: Sequence[Job], read: Sequence[Path]) -> None:
    """Raise an error if frames that are written as images could replace a file that is read.

    Frames are read while others are written, so no option allows it for the frames.

    Args:
        jobs: the clips to read and the outputs to write.
        read: further files to read, such as style photos.

    Raises:
        InputError: a frame could replace a file that is read, or a folder can't be read.
    """
    for job in jobs:
        if not writes_images(job.target):
            continue
        folder = job.target.parent if is_pattern(job.target) else job.target
        frames = frame_files(job.source) if is_pattern(job.source) or is_folder(job.source) else []
        masks = [] if job.mask is None else frame_files(job.mask) if is_folder(job.mask) else [job.mask]
        for path in (*frames, *masks, *read):
            named = not is_pattern(job.target) or number_of(path, job.target) is not None
            if named and is_folder(folder) and is_folder(path.parent) and folder.samefile(path.parent):
                raise InputError(f"{job.target}: a frame could replace {path}, which is read; give another folder")


def split_clips(paths: Sequence[Path], out: Path, as_frames: bool) -> tuple[list[Path], list[Path]]:
    """Divide the inputs of a run into clips and photos.

    A file is a clip by its suffix. An existing photo is a photo, even if its name is a pattern. A folder stands for the
    clips and the photos directly in it; if `out` is a clip or the pattern of a sequence, the photos of a folder are the
    frames of one clip.

    Args:
        paths: files, folders, and patterns of sequences.
        out: the output of the run.
        as_frames: if True, every folder of photos is the frames of one clip.

    Returns:
        The clips, in which a folder of frames stays a folder; and the photos and their folders.

    Raises:
        InputError: a folder can't be read.
    """
    clips, photos = [], []
    for path in paths:
        if is_folder(path):
            inside = _clips_in(path)
            has_photos = bool(list_photos(path))
            if has_photos and (as_frames or _is_clip(out)):
                clips.append(path)
            else:
                clips += inside
                photos += [path] if has_photos or not inside else []
        else:
            is_photo = not _is_clip(path) or _is_photo_named_like_a_pattern(path)
            (photos if is_photo else clips).append(path)
    return clips, photos


def _is_photo_named_like_a_pattern(path: Path) -> bool:
    return path.suffix.lower() not in CLIP_SUFFIXES and os.path.isfile(path)  # noqa: PTH113 (no error for long names)


def plan_clips(clips: Sequence[Path], out: Path, masks: Path | None, single: bool) -> list[Job]:
    """Choose the output and the masks of each clip.

    Args:
        clips: the clips.
        out: the file or the pattern to write for a single clip; otherwise the folder to write into.
        masks: for a single clip, the mask of all frames or a folder with one mask for each frame. For several clips, a
            folder with `STEM.png` or a folder `STEM` for each clip `STEM.*`.
        single: True if the run has one input only, which is no folder of clips.

    Raises:
        InputError: `out` is one file for several clips, two clips share an output or a mask, a clip has no mask, or an
            output can't be written.
    """
    named_as_clip = _is_clip(out) and not is_folder(out)
    if named_as_clip and not single:
        raise InputError(f"{out}: is named like one clip; several clips or a folder need an output folder")
    if out.suffix.lower() in PHOTO_SUFFIXES and not named_as_clip and not is_folder(out):
        raise InputError(f"{out}: is named like a photo; a clip needs the name of a clip, or a folder")
    targets = [out if named_as_clip else out / clip.name for clip in clips]
    for target in targets:
        if is_pattern(target):
            check_writable(target)
        check_place(target)
    check_distinct(zip(clips, targets, strict=True))
    if masks is not None and not single:
        check_distinct_stems(clips)
    found = [None if masks is None else _masks_of(clip, masks, single) for clip in clips]
    return [Job(*job) for job in zip(clips, targets, found, strict=True)]


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in CLIP_SUFFIXES or is_pattern(path)


def _clips_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror})") from error
    return [folder / name for name in names if Path(name).suffix.lower() in CLIP_SUFFIXES]


def _masks_of(clip: Path, masks: Path, single: bool) -> Path:
    if single:
        return masks
    for candidate in (masks / f"{clip.stem}.png", masks / clip.stem):
        if candidate.is_file() or is_folder(candidate):
            return candidate
    raise InputError(f"content-mask: {clip} has no mask, {masks / clip.stem}.png does not exist")


def numbered_files(pattern: Path) -> list[Path]:
    """Return the files that a pattern names, in the order of their numbers.

    Raises:
        InputError: the folder can't be read.
    """
    try:
        files = [path for path in pattern.parent.iterdir() if path.is_file()]
    except OSError as error:
        raise InputError(f"{pattern}: can't be read ({error.strerror})") from error
    numbers = [(number, path) for path in files if (number := number_of(path, pattern)) is not None]
    return [path for _, path in sorted(numbers)]


def number_of(path: Path, pattern: Path) -> int | None:
    """Return the number of a file in the name of a pattern; None if the pattern does not name the file."""
    before, after = PATTERN.split(pattern.name)
    found = re.fullmatch(re.escape(before) + r"(\d+)" + re.escape(after), path.name)
    return int(found[1]) if found is not None and numbered(pattern, int(found[1])).name == path.name else None


def numbered(pattern: Path, number: int) -> Path:
    """Return the file of a number in a pattern."""
    return pattern.with_name(PATTERN.sub(lambda place: place[0] % number, pattern.name))
