"""Stylization of many photo files in parallel threads, so that reading, computing and writing overlap."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lookcast.checks import InputError
from lookcast.inference.jobs import Job
from lookcast.inference.photo_files import FILE_DEFAULTS, FileOptions, stylize_file
from lookcast.inference.refine import open_refine
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.read import PhotoError
from lookcast.processes import deferred_interrupt, usable_cores

if TYPE_CHECKING:  # these packages import all of kornia, which most photos do not need
    from lookcast.fitting.look_fit import FitState, LookFit
    from lookcast.segmenters.auto_masks import AutoMasks

MAX_WORKERS = 8
"""Upper limit of the default number of workers, because each photo in progress takes about 12 bytes of memory per
pixel."""


class BatchResult(NamedTuple):
    """The failures of a batch of photos.

    Attributes:
        failures: one error for each skipped photo, in the order of the jobs.
        damaged: number of damaged photos whose readable part was stylized and written.
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
    refine: "int | LookFit" = 0,
) -> BatchResult:
    """Stylize photo files. If a photo fails, print the error to stderr, skip the photo and continue.

    On a terminal, show a progress bar.

    Args:
        stylizers: one stylizer for each device. Consecutive photos use the stylizers in turn.
        jobs: the photos to stylize.
        strength: see `Stylizer.stylize`.
        auto_masks: see `stylize_file`.
        workers: number of threads; each thread reads, stylizes and writes one photo at a time. None uses one thread for
            each core, at most `MAX_WORKERS`.
        files: options for reading and writing files.
        refine: see `Stylizer.stylize`.

    Raises:
        InputError: an error that would also affect the next photos, such as an output folder that can't be written.
            Photos in progress are finished first.
        KeyboardInterrupt: at Ctrl-C. A refinement in progress ends after its current step, and its photo is not
            written. Other photos in progress are finished first.
    """
    cores = usable_cores()
    workers = min(cores, MAX_WORKERS) if workers is None else workers
    if workers < 1:
        raise InputError(f"--jobs: expected at least 1 photo at a time, got {workers}")
    failures: dict[int, PhotoError] = {}
    damaged = 0
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(max(1, cores // workers),))
    with deferred_interrupt() as check_interrupt:
        fit = _until(check_interrupt, open_refine(refine))

        def run(stylizer: Stylizer, job: Job) -> bool:
            check_interrupt()
            return stylize_file(stylizer, job, strength, auto_masks, files, fit or 0)

        try:
            numbers: dict[Future[bool], int] = {}
            for number, job in enumerate(jobs):
                numbers[pool.submit(run, stylizers[number % len(stylizers)], job)] = number
            with logging_redirect_tqdm():
                for future in tqdm(as_completed(numbers), total=len(jobs), unit="photo", disable=None):
                    try:
                        damaged += future.result()
                    except PhotoError as error:
                        failures[numbers[future]] = error
                        tqdm.write(f"lookcast: skipped: {error}\n", file=sys.stderr, end="")
        finally:
            pool.shutdown(cancel_futures=True)
            # Otherwise the setting of a worker would apply to all threads that start later.
            torch.set_num_threads(threads)
    return BatchResult([failures[number] for number in sorted(failures)], damaged)


def _until(check_interrupt: Callable[[], None], fit: "LookFit | None") -> "LookFit | None":
    """Return a copy of a fit that calls a function after each step.

    The error that the function raises keeps the caller from writing a photo whose refinement is incomplete.
    """
    if fit is None:
        return None
    fit, on_step = copy(fit), fit.on_step

    def check(state: "FitState") -> bool | None:
        check_interrupt()
        return None if on_step is None else on_step(state)

    fit.on_step = check
    return fit
