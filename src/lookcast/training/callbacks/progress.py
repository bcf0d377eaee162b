"""Progress of a run, as a bar on a terminal or as lines in a log."""

import logging
import os
import sys
import time
from collections import deque
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from typing import Annotated, Any

import pytorch_lightning as pl
from pydantic import Field
from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile

from lookcast.checks import InputError, check_call
from lookcast.training.callbacks.throughput import run_stats
from lookcast.training.stats import RunStats

RECENT_SECONDS = 30.0
"""Duration over which speeds are averaged."""
BAR_SECONDS = 0.25
"""Time between two updates of the bar."""
BAR = "{bar} {n_fmt}/{total_fmt}{postfix}, {elapsed}<{remaining}"
LINE = "step {n_fmt}/{total_fmt} ({percentage:.0f}%){postfix}, {elapsed} elapsed, {remaining} left"
LINE_WITHOUT_TOTAL = "step {n_fmt}{postfix}, {elapsed} elapsed"


class RunProgress(pl.Callback):
    """Show the step, the speed, the loss and the time left.

    On a terminal, the callback shows a tqdm bar, with log lines above the bar. In a log file, such as the log of a
    cluster job, the callback writes a plain line every `every_seconds`. Speeds are means over the last 30 seconds,
    without validation. The estimate of the time left uses the mean speed since the start.

    Lightning's progress bars count the batches of an epoch. A run of lookcast is one endless epoch, counted in steps.

    Args:
        every_seconds: seconds between two plain lines.

    Raises:
        InputError: during training, if a plain line can't be written.
    """

    @check_call
    def __init__(self, every_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0) -> None:
        self.every_seconds = every_seconds
        self._bar: tqdm[Any] | None = None
        self._open: ExitStack | None = None  # None while no progress is shown
        self._due, self._started, self._first_step = 0.0, 0.0, 0
        self._recent = deque[tuple[float, RunStats]]()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start to show progress, from the step at which the run starts or resumes."""
        if not trainer.is_global_zero:
            return
        self._started, self._due, self._first_step = time.monotonic(), 0.0, trainer.global_step
        self._recent = deque([(self._started, run_stats(trainer))])
        self._open = ExitStack()
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._open_bar(trainer, self._open)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Show the step if the last update is old enough.

        Not every step is shown, because reading the loss synchronises with the GPU and slows the step down.
        """
        if self._open is None or (time.monotonic() < self._due and trainer.global_step != trainer.max_steps):
            return
        # Lightning has divided the loss by the number of batches over which gradients are accumulated.
        self._show(trainer, float(outputs["loss"]) * trainer.accumulate_grad_batches)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close the bar; the last state of the bar stays on the screen."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the bar before the error is printed. The last state of the bar stays visible."""
        self._close()

    def _open_bar(self, trainer: pl.Trainer, opened: ExitStack) -> None:
        terminals = [stream for stream in (sys.stdout, sys.stderr) if stream.isatty()]
        self._bar = opened.enter_context(
            tqdm(
                total=_total(trainer), initial=trainer.global_step, bar_format=BAR, smoothing=0, dynamic_ncols=True,
                file=sys.stderr,
            )
        )  # fmt: skip
        above: Any = DummyTqdmFile(sys.stderr)  # text for this file appears above the bar
        loggers = [logging.root, *map(logging.getLogger, logging.root.manager.loggerDict)]
        for handler in {handler for logger in loggers for handler in logger.handlers}:
            if isinstance(handler, logging.StreamHandler) and handler.stream in terminals:
                opened.callback(handler.setStream, handler.stream)
                handler.setStream(above)
        opened.enter_context(redirect_stderr(above))
        if sys.stdout in terminals:  # do not redirect a stdout that is a file
            opened.enter_context(redirect_stdout(above))

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = self._bar = None

    def _show(self, trainer: pl.Trainer, loss: float) -> None:
        now, total = time.monotonic(), _total(trainer)
        words = self._speeds(now, run_stats(trainer))
        words.insert(2, f"loss {loss:.3f}")
        if self._bar is not None:
            self._due, self._bar.n = now + BAR_SECONDS, trainer.global_step
            self._bar.set_postfix_str(" ".join(words).replace("data wait", "wait"))  # fits into 80 columns
            return
        self._due = now + self.every_seconds
        text = tqdm.format_meter(
            trainer.global_step, total or 0, now - self._started, initial=self._first_step,
            bar_format=LINE if total else LINE_WITHOUT_TOTAL, postfix=", ".join(words),
        )  # fmt: skip
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError as error:
            raise InputError(f"stderr: progress can't be written ({error.strerror})") from error

    def _speeds(self, now: float, stats: RunStats) -> list[str]:
        while len(self._recent) > 1 and self._recent[1][0] <= now - RECENT_SECONDS:
            self._recent.popleft()
        then, before = self._recent[0]
        self._recent.append((now, stats))
        new = stats.since(before)
        seconds = new.seconds or now - then  # without `Throughput`, validation is part of the time
        words = [f"{new.steps / seconds:.3g} steps/s"] if seconds > 0 else []
        if new.seconds > 0:
            words += [f"{new.images_per_second:.3g} images/s", f"{new.data_wait:.0%} data wait"]
        return words


def _total(trainer: pl.Trainer) -> int | None:
    return trainer.max_steps if trainer.max_steps > 0 else None
