"""Photo files through a Stylizer: which file goes where, then one after the other."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lookcast.checks import InputError
from lookcast.inference.auto_masks import AutoMasks
from lookcast.inference.photo_io import (
    PHOTO_SUFFIXES,
    Photo,
    PhotoError,
    check_writable,
    read_mask,
    read_photo,
    write_photo,
)
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.masks import check_aspect


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
    """Decide which file each photo becomes, before anything is read or written.

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
    if masks is not None or save_masks is not None:
        named: dict[str, Path] = {}
        for source in sources:
            other = named.setdefault(source.stem, source)
            if other is not source:
                raise InputError(f"{other} and {source} would share the mask {source.stem}.png")
    found = [None if masks is None else _mask_of(source, masks, single) for source in sources]
    return [Job(*job) for job in zip(sources, targets, found, strict=True)]


def set_up_styles(
    stylizer: Stylizer,
    styles: Sequence[Path],
    style_masks: Sequence[Path] = (),
    weights: Sequence[float] | None = None,
    content_mask: Path | None = None,
    auto_masks: str | None = None,
    save_masks: Path | None = None,
) -> AutoMasks | None:
    """Read the style photos and set them, or set up what finds masks for them.

    Args:
        stylizer: gets the style, unless masks are found.
        styles: photos, none for a single look.
        style_masks: PNGs in the nine colours, one for each style, or none.
        weights: of the styles.
        content_mask: whether the contents have masks.
        auto_masks: name of a segmenter.
        save_masks: folder for the masks it finds.

    Raises:
        InputError: what does not go together, named by the option.
    """
    if not styles:
        for option, value in (("--style-mask", style_masks), ("--weights", weights), ("--auto-masks", auto_masks)):
            if value:
                raise InputError(f"{option}: needs --style")
        if content_mask is not None:
            raise InputError("--content-mask: needs --style and --style-mask")
    if auto_masks is not None and (style_masks or content_mask is not None):
        raise InputError("--auto-masks: finds masks, so it goes without --content-mask and --style-mask")
    if save_masks is not None and auto_masks is None:
        raise InputError("--save-masks: writes what --auto-masks finds, and needs it")
    if (content_mask is None) != (not style_masks):
        missing = "--content-mask" if content_mask is None else "--style-mask"
        raise InputError(f"{missing}: missing; masks come in pairs, one for the content and one for the style")
    if not styles:
        return None
    photos = [read_photo(style).pixels for style in styles]
    if auto_masks is not None:
        from lookcast.segmenters import SEGMENTERS  # here, because it brings all of kornia along

        stylizer.set_style(photos, weights=weights)  # refuses now what would not fit later
        return AutoMasks(SEGMENTERS[auto_masks](), photos, weights, save_masks)
    sized = zip(style_masks, photos, strict=False)
    masks = [read_mask(mask, (photo.shape[0], photo.shape[1])) for mask, photo in sized]
    if len(style_masks) not in (0, len(styles)):
        raise InputError(f"--style-mask: {len(style_masks)} for {len(styles)} style photos; each needs its own")
    stylizer.set_style(photos, masks or None, weights)
    return None


def stylize_file(stylizer: Stylizer, job: Job, strength: float = 1.0, auto_masks: AutoMasks | None = None) -> None:
    """Read, stylize, write.

    Args:
        stylizer: with its style set, unless masks are found together with the style.
        job: the photo.
        strength: as in `Stylizer.stylize`.
        auto_masks: finds the masks of both photos; None where the job has one, or none is wanted.

    Raises:
        PhotoError: this photo can't be read, or its format can't be written.
        InputError: the file can't be written, or the stylizer does not fit.
    """
    photo = read_photo(job.source)
    check_writable(job.target)  # before the work, not after
    options: dict[str, Any] = {}
    if auto_masks is not None:
        options = auto_masks(photo.pixels, job.source.stem)
    elif job.mask is not None:
        options = {"content_mask": _read_mask_for(job.source, job.mask, photo)}
    write_photo(job.target, photo._replace(pixels=stylizer.stylize(photo.pixels, strength=strength, **options)))


def stylize_files(
    stylizer: Stylizer, jobs: Sequence[Job], strength: float = 1.0, auto_masks: AutoMasks | None = None
) -> list[PhotoError]:
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
                stylize_file(stylizer, job, strength, auto_masks)
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


def _mask_of(source: Path, masks: Path, single: bool) -> Path:
    if not masks.is_dir():
        if not single:
            raise InputError(f"content-mask: {masks} is one file; several photos need a folder of masks")
        return masks
    mask = masks / f"{source.stem}.png"
    if not mask.is_file():
        raise InputError(f"content-mask: {source} has none, {mask} does not exist")
    return mask


def _read_mask_for(source: Path, path: Path, photo: Photo) -> torch.Tensor:
    mask = read_mask(path)
    try:
        check_aspect(str(path), (mask.shape[-2], mask.shape[-1]), (photo.pixels.shape[0], photo.pixels.shape[1]))
    except InputError as error:  # the fault of one photo: the others of a folder go on
        raise PhotoError(f"{source}: {error}") from error
    return mask


def _identity(path: Path) -> tuple[int, int]:
    """The same for two paths to one file, through links of either kind."""
    status = path.stat()
    return status.st_dev, status.st_ino
