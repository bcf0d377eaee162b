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
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".ts",
    ".m2ts",
    ".mts",
    ".mpg",
    ".mpeg",
    ".mxf",
    ".wmv",
)
"""Suffixes of the files that count as clips."""
PATTERN = re.compile(r"%(?:0\d)?d")
"""The place of the number in the name of a sequence of images."""


def is_pattern(path: Path) -> bool:
    """Return whether a path names a sequence of images, such as `frames/%05d.png`."""
    return len(PATTERN.findall(path.name)) == 1


def split_clips(paths: Sequence[Path], out: Path, as_frames: bool) -> tuple[list[Path], list[Path]]:
    """Divide the inputs of a run into clips and photos.

    A file is a clip by its suffix. A folder stands for the clips and the photos directly in it; if `out` is a clip or
    the pattern of a sequence, the photos of a folder are the frames of one clip.

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
            (clips if _is_clip(path) else photos).append(path)
    return clips, photos


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
