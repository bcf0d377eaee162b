"""Many photo files: several at a time, so that reading, stylizing and writing overlap."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, NamedTuple

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lookcast.checks import InputError
from lookcast.inference.jobs import Job
from lookcast.inference.photo_files import FILE_DEFAULTS, FileOptions, stylize_file
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.read import PhotoError

if TYPE_CHECKING:  # the package imports all of kornia, which photos without masks do not need
    from lookcast.segmenters.auto_masks import AutoMasks

MAX_WORKERS = 8
"""The default number of photos at a time is at most this: each takes some 12 bytes a pixel."""


class BatchResult(NamedTuple):
    """The photos of a batch that failed.

    Attributes:
        failures: of the photos that were skipped, in the order of the jobs.
        damaged: number of photos that could be read in part only and were written nevertheless.
    """

    failures: list[PhotoError]
    damaged: int


def stylize_files(
    stylizers: Sequence[Stylizer],
    jobs: Sequence[Job],
    strength: float = 1.0,
    auto_masks: "AutoMasks | None" = None,
    workers: int | None = None,
    files: FileOptions = FILE_DEFAULTS,
) -> BatchResult:
    """Stylize photos with a progress bar on a terminal; report a photo that fails and continue.

    Args:
        stylizers: one for each device; photos go to them in turn.
        jobs: the photos.
        strength: as in `Stylizer.stylize`.
        auto_masks: as in `stylize_file`.
        workers: photos at a time, each from its file to its file; None is one for each core, at most eight.
        files: options for files.

    Raises:
        InputError: an error that the next photo would meet too, such as an output folder that can't be written. Photos
            in progress are finished first.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, MAX_WORKERS) if workers is None else workers
    if workers < 1:
        raise InputError(f"--jobs: expected at least 1 photo at a time, got {workers}")
    failures: dict[int, PhotoError] = {}
    damaged = 0
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(max(1, cores // workers),))
    try:
        numbers: dict[Future[bool], int] = {}
        for number, job in enumerate(jobs):
            stylizer = stylizers[number % len(stylizers)]
            numbers[pool.submit(stylize_file, stylizer, job, strength, auto_masks, files)] = number
        with logging_redirect_tqdm():
            for future in tqdm(as_completed(numbers), total=len(jobs), unit="photo", disable=None):
                try:
                    damaged += future.result()
                except PhotoError as error:
                    failures[numbers[future]] = error
                    tqdm.write(f"lookcast: skipped: {error}", file=sys.stderr)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # a worker's setting holds for every thread that is made later, too
    return BatchResult([failures[number] for number in sorted(failures)], damaged)
