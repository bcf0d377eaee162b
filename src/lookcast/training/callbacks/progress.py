"""What is seen of a run while it runs."""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lookcast.checks import InputError
from lookcast.training.callbacks.counted import throughput_of
from lookcast.training.work import Tally


class RunProgress(pl.Callback):
    """How far a run is, in steps: a look is trained for steps, not epochs.

    On a terminal a bar; elsewhere, as in the log of a cluster's job, a plain line from time to time. Speeds are those
    of the last half minute, without validation; the time left is reckoned with it.

    Args:
        every_seconds: between two lines where there is no terminal.
    """

    def __init__(self, every_seconds: float = 30.0) -> None:
        if not every_seconds > 0:
            raise InputError(f"every_seconds: expected more than 0, got {every_seconds}")
        self.every_seconds = every_seconds
        self.total: int | None = None
        self._shown: _Bar | _Lines | None = None
        self._due, self._began, self._first_step = 0.0, 0.0, 0
        self._recent = deque[_Moment]()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin where a resumed run stands."""
        if not trainer.is_global_zero:
            return
        self.total = trainer.max_steps if trainer.max_steps > 0 else None
        self._began, self._first_step, self._due = time.monotonic(), trainer.global_step, 0.0
        self._recent = deque([_Moment(self._began, trainer.global_step, Tally())])
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = _Bar(trainer.global_step, self.total) if terminal else _Lines(self.every_seconds)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Show the step and its loss, when it is time: to read a loss holds up a GPU."""
        if self._shown is None or (time.monotonic() < self._due and trainer.global_step != self.total):
            return
        # Lightning has divided it by the batches whose gradients are accumulated.
        self._show(trainer, f"loss {float(outputs['loss']) * trainer.accumulate_grad_batches:.3f}")

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Leave the bar as it is at the end."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the bar where the run broke off, before the message about it."""
        self._close()

    def _close(self) -> None:
        if self._shown is not None:
            self._shown.close()
            self._shown = None

    def _show(self, trainer: pl.Trainer, loss: str) -> None:
        assert self._shown is not None
        now = time.monotonic()
        self._due = now + self._shown.every_seconds
        throughput = throughput_of(trainer)
        moment = _Moment(now, trainer.global_step, throughput.tally if throughput else Tally())
        while len(self._recent) > 1 and self._recent[1].time <= now - RECENT_SECONDS:
            self._recent.popleft()
        before = self._recent[0]
        self._recent.append(moment)
        new = moment.tally.since(before.tally)
        words = []
        if new.seconds > 0:
            words += [f"{new.steps / new.seconds:.3g} steps/s", f"{new.images_per_second:.3g} images/s"]
        elif now > before.time:
            words.append(f"{(moment.step - before.step) / (now - before.time):.3g} steps/s")
        words.append(loss)
        if new.seconds > 0:
            words.append(f"{new.data_wait:.0%} data wait")
        elapsed, left = now - self._began, None
        if self.total is not None and moment.step > self._first_step:
            left = elapsed / (moment.step - self._first_step) * (self.total - moment.step)
        self._shown.show(moment.step, self.total, words, [_clock(s) for s in (elapsed, left) if s is not None])


RECENT_SECONDS = 30.0


class _Moment(NamedTuple):
    time: float
    step: int
    tally: Tally


class _Lines:
    """A plain line each time."""

    def __init__(self, every_seconds: float) -> None:
        self.every_seconds = every_seconds

    def show(self, step: int, total: int | None, words: list[str], times: list[str]) -> None:
        share = "" if total is None else f"/{total} ({step / total:.0%})"
        clocks = [f"{clock} {word}" for clock, word in zip(times, ("elapsed", "left"), strict=False)]
        print(f"step {step}{share}", *words, *clocks, sep=", ", file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


class _Bar:
    """A bar at the bottom of the terminal, above which everything else is printed."""

    every_seconds = 0.25

    def __init__(self, step: int, total: int | None) -> None:
        console = Console(stderr=True)
        self.progress = Progress(
            BarColumn(min(40, max(4, console.width - 80))),  # 80 columns hold all the words
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=console,
            refresh_per_second=4,
            redirect_stdout=sys.stdout.isatty(),  # what goes into a file stays there
        )
        self.task = self.progress.add_task("train", total=total, completed=step, words="")
        self.open = ExitStack()
        streams = sys.stdout, sys.stderr
        self.open.enter_context(self.progress)
        self.open.enter_context(_logging_through({id(streams[0]): sys.stdout, id(streams[1]): sys.stderr}))

    def show(self, step: int, total: int | None, words: list[str], times: list[str]) -> None:
        text = " ".join([*(word.replace("data wait", "wait") for word in words), "<".join(times)])
        self.progress.update(self.task, completed=step, words=text)

    def close(self) -> None:
        self.open.close()


@contextmanager
def _logging_through(streams: dict[int, Any]) -> Iterator[None]:
    """Handlers hold the stream that they were made with; while there is a bar, they write through what wraps it."""
    loggers = [logging.root, *map(logging.getLogger, logging.root.manager.loggerDict)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    moved = [(h, h.stream) for h in handlers if isinstance(h, logging.StreamHandler) and id(h.stream) in streams]
    for handler, stream in moved:
        handler.setStream(streams[id(stream)])
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
