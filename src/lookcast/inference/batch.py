"""Photo files through a Stylizer: several at a time, so that reading, stylizing and writing overlap."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lookcast.checks import InputError
from lookcast.inference.jobs import Job
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.masks import check_aspect
from lookcast.photos.color import from_srgb, to_srgb
from lookcast.photos.read import (
    MAX_PIXELS,
    PhotoError,
    check_writable,
    read_mask,
    read_photo,
    read_srgb,
    write_photo,
)
from lookcast.segmenters.auto_masks import AutoMasks

MAX_WORKERS = 8
"""Photos at a time unless told otherwise: each takes some 12 bytes a pixel."""


class FileOptions(NamedTuple):
    """How photo files are read and written.

    Attributes:
        quality: of JPEG, WebP and HEIC, 1 to 100.
        subsampling: of chroma in JPEG, see `write_photo`.
        max_pixels: a photo that claims more is refused before it is decoded.
    """

    quality: int = 95
    subsampling: str = "4:4:4"
    max_pixels: int = MAX_PIXELS


_DEFAULT = FileOptions()


def set_up_styles(
    stylizers: Sequence[Stylizer],
    styles: Sequence[Path],
    style_masks: Sequence[Path] = (),
    weights: Sequence[float] | None = None,
    content_mask: Path | None = None,
    auto_masks: str | None = None,
    save_masks: Path | None = None,
    max_pixels: int = MAX_PIXELS,
) -> AutoMasks | None:
    """Read the style photos and set them, or set up what finds masks for them.

    Args:
        stylizers: get the style, unless masks are found.
        styles: photos, none for a single look.
        style_masks: PNGs in the nine colours, one for each style, or none.
        weights: of the styles.
        content_mask: whether the contents have masks.
        auto_masks: name of a segmenter.
        save_masks: folder for the masks it finds.
        max_pixels: as in `FileOptions`, for the style photos.

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
    if len(style_masks) not in (0, len(styles)):
        raise InputError(f"--style-mask: {len(style_masks)} for {len(styles)} style photos; each needs its own")
    photos = [read_srgb(style, max_pixels) for style in styles]
    if auto_masks is not None:
        from lookcast.segmenters import SEGMENTERS  # here, because it brings all of kornia along

        stylizers[0].set_style(photos, weights=weights)  # refuses now what would not fit later
        return AutoMasks(SEGMENTERS[auto_masks](), photos, weights, save_masks)
    masks = [_read_mask_for(*pair) for pair in zip(style_masks, photos, strict=False)]
    for stylizer in stylizers:
        stylizer.set_style(photos, masks or None, weights)
    return None


def stylize_file(
    stylizer: Stylizer,
    job: Job,
    strength: float = 1.0,
    auto_masks: AutoMasks | None = None,
    files: FileOptions = _DEFAULT,
) -> None:
    """Read, stylize, write. A photo in a wide colour profile goes through sRGB and comes back in its own.

    Args:
        stylizer: with its style set, unless masks are found together with the style.
        job: the photo.
        strength: as in `Stylizer.stylize`.
        auto_masks: finds the masks of both photos; None where the job has one, or none is wanted.
        files: how files are read and written.

    Raises:
        PhotoError: this photo can't be read, or its format can't be written.
        InputError: the file can't be written, or the stylizer does not fit.
    """
    photo = read_photo(job.source, files.max_pixels)
    check_writable(job.target, files.quality, files.subsampling)  # before the work, not after
    content = to_srgb(photo.pixels, photo.icc_profile)
    options: dict[str, Any] = {}
    if auto_masks is not None:
        options = auto_masks(content, job.source.stem)
    elif job.mask is not None:
        try:
            options = {"content_mask": _read_mask_for(job.mask, content)}
        except InputError as error:  # the fault of one photo: the others of a folder go on
            raise error if isinstance(error, PhotoError) else PhotoError(f"{job.source}: {error}") from error
    stylized = stylizer.stylize(content, strength=strength, **options)
    pixels = from_srgb(stylized, content, photo.pixels, photo.icc_profile)
    write_photo(job.target, photo._replace(pixels=pixels), files.quality, files.subsampling)


def stylize_files(
    stylizers: Sequence[Stylizer],
    jobs: Sequence[Job],
    strength: float = 1.0,
    auto_masks: AutoMasks | None = None,
    workers: int | None = None,
    files: FileOptions = _DEFAULT,
) -> list[PhotoError]:
    """Stylize photos with a progress bar on a terminal; report a photo that fails and go on.

    Args:
        stylizers: one for each device; photos go to them in turn.
        jobs: the photos.
        strength: as in `Stylizer.stylize`.
        auto_masks: as in `stylize_file`.
        workers: photos at a time, each from its file to its file; None is one for each core, at most eight.
        files: how files are read and written.

    Returns:
        What failed, in the order of the jobs.

    Raises:
        InputError: what the next photo would fail on too, such as an output folder that can't be written. Photos that
            are under way are finished first.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, MAX_WORKERS) if workers is None else workers
    if workers < 1:
        raise InputError(f"--jobs: expected at least 1 photo at a time, got {workers}")
    failures: dict[int, PhotoError] = {}
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(max(1, cores // workers),))
    try:
        numbers: dict[Future[None], int] = {}
        for number, job in enumerate(jobs):
            stylizer = stylizers[number % len(stylizers)]
            numbers[pool.submit(stylize_file, stylizer, job, strength, auto_masks, files)] = number
        with logging_redirect_tqdm():
            for future in tqdm(as_completed(numbers), total=len(jobs), unit="photo", disable=None):
                try:
                    future.result()
                except PhotoError as error:
                    failures[numbers[future]] = error
                    tqdm.write(f"lookcast: skipped: {error}", file=sys.stderr)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what a worker sets holds for every thread that is made later, too
    return [failures[number] for number in sorted(failures)]


def _read_mask_for(path: Path, pixels: npt.NDArray[Any]) -> torch.Tensor:
    mask = read_mask(path)
    check_aspect(str(path), (mask.shape[-2], mask.shape[-1]), (pixels.shape[0], pixels.shape[1]))
    return mask
