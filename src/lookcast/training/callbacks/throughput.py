"""How fast a run is, and what it waits for."""

import resource
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler

from lookcast.structures import PhotoBatch
from lookcast.training.work import Tally

NEXT_BATCH = "[_TrainingEpochLoop].train_dataloader_next"
"""Lightning's name for what its training loop does when it asks the loader for a batch."""


class Throughput(pl.Callback):
    """Logs images/s, share of the time spent waiting for data, seconds a step, and memory.

    Data wait is the time inside the loader's `next`, as Lightning's training loop calls it. The transfer of a batch and
    what the device makes of it (crops, grades) is no part of it. A GPU works on behind the loop's back; there it counts
    as far as the GPU had run out of work, measured by events in its own queue.

    Keys, every `trainer.log_every_n_steps` steps over the steps since the last time: `train/images_per_second` over
    all processes; `train/data_wait` and `train/step_seconds`, their mean; `train/gpu_memory_gib`, the most that torch
    has allocated on one of the GPUs, and `train/host_memory_gib`, the most that one of the processes has held.
    """

    def __init__(self) -> None:
        self.step, self.logged = 0, Tally()
        self.waits = _Waits()
        self._steps = self._images = 0
        self._seconds, self._began = 0.0, None  # type: float, float | None

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Listen to the training loop as a profiler does."""
        if stage == "fit":
            trainer.profiler = _Listener(trainer.profiler, self)  # type: ignore[attr-defined]

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Give the run's own profiler back."""
        if isinstance(trainer.profiler, _Listener):  # type: ignore[attr-defined]
            trainer.profiler = trainer.profiler.inner  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Note where a resumed run stands."""
        self.step = trainer.global_step
        self.waits.on_gpu = module.device.type == "cuda"

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Count, and log at the end of the steps that Lightning logs."""
        self._images += len(batch.content) * trainer.world_size
        if trainer.global_step == self.step:  # gradients are accumulated
            return
        self._steps += trainer.global_step - self.step
        self.step = trainer.global_step
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every > 0 and self.step % every == 0:
            self._log(trainer, module)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The clock stands still until the next batch is asked for."""
        self.pause()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop the clock."""
        self.pause()

    @property
    def tally(self) -> Tally:
        """So far."""
        running = 0.0 if self._began is None else time.perf_counter() - self._began
        return Tally(self._steps, self._images, self._seconds + running, self.waits.seconds())

    def pause(self) -> None:
        """What follows is no training."""
        if self._began is not None:
            self._seconds += time.perf_counter() - self._began
            self._began = None

    def go_on(self) -> None:
        """A batch is asked for: the training goes on."""
        if self._began is None:
            self._began = time.perf_counter()

    def _log(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        now = self.tally
        new, self.logged = now.since(self.logged), now
        means, most = {"data_wait": new.data_wait, "step_seconds": new.seconds / new.steps}, {}
        if self.waits.on_gpu:
            most["gpu_memory_gib"] = torch.cuda.max_memory_allocated(module.device) / 2**30
        most["host_memory_gib"] = _host_memory() / 2**30
        values = {"images_per_second": new.images_per_second}
        for figures, operation in ((means, "mean"), (most, "max")):
            together = torch.tensor(list(figures.values()), device=module.device)
            values |= zip(figures, trainer.strategy.reduce(together, reduce_op=operation).tolist(), strict=True)
        for logger in trainer.loggers:
            # Steps are counted from 0 in the logs.
            logger.log_metrics({f"train/{key}": value for key, value in values.items()}, step=self.step - 1)


class _Waits:
    """Seconds in which the device had to wait for a batch."""

    def __init__(self) -> None:
        self.on_gpu = False
        self._seconds, self._began = 0.0, 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []  # not reached by the GPU yet

    def begin(self) -> None:
        self._began = time.perf_counter()
        if self.on_gpu:
            # The GPU reaches the first when its work is done, the second when the batch is there.
            pair = (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            pair[0].record()
            self._events.append(pair)

    def end(self) -> None:
        if self.on_gpu:
            self._events[-1][1].record()
        else:
            self._seconds += time.perf_counter() - self._began

    def seconds(self) -> float:
        """So far, without holding up the GPU."""
        while self._events and self._events[0][1].query():  # type: ignore[no-untyped-call]
            before, after = self._events.pop(0)
            self._seconds += before.elapsed_time(after) / 1000
        return self._seconds


class _Listener(Profiler):
    """Hands everything on to the run's own profiler, and hears when a batch is asked for and when it comes."""

    def __init__(self, inner: Profiler, throughput: Throughput) -> None:
        super().__init__()
        self.inner, self.throughput = inner, throughput

    def start(self, action_name: str) -> None:
        self.inner.start(action_name)
        if action_name == NEXT_BATCH:
            self.throughput.go_on()
            self.throughput.waits.begin()

    def stop(self, action_name: str) -> None:
        if action_name == NEXT_BATCH:
            self.throughput.waits.end()
        self.inner.stop(action_name)

    def summary(self) -> str:
        return self.inner.summary()


def _host_memory() -> int:
    """The most that this process has held, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
