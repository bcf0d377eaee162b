"""Measurement of the speed of a run, and of the time spent waiting for data."""

import sys
import time

import pytorch_lightning as pl
import torch

from lookcast.data.loader import TimedLoader
from lookcast.structures import PhotoBatch
from lookcast.training.callbacks.skipped import SkippedPhotos
from lookcast.training.stats import RunStats


class Throughput(pl.Callback):
    """Log images per second, the share of time spent waiting for data, seconds per step, and memory.

    Data wait is the time from the request for a batch to its arrival from the run's data loader (`TimedLoader`). Data
    wait excludes the transfer of the batch to the device, and the crops and grades on the device. On a GPU, data wait
    counts only the time in which the GPU is idle (measured with CUDA events).

    Lightning's `ThroughputMonitor` does not measure data wait, and synchronises with the GPU in every step.

    Every `trainer.log_every_n_steps` steps, the callback logs these values for the steps since the previous log:
    * `train/images_per_second`: images per second, summed over all processes.
    * `train/data_wait`: share of the time spent waiting for data, in [0, 1], mean over the processes.
    * `train/step_seconds`: seconds per step, mean over the processes.
    * `train/gpu_memory_gib`: maximum memory that torch has allocated on one GPU since the start, in GiB.
    * `train/host_memory_gib`: maximum memory that one process has used since its start, in GiB.
    """

    def __init__(self) -> None:
        self._stats, self._logged = RunStats(), RunStats()
        self._started: float | None = None  # time at which the clock was started; None while it is stopped
        self._wait = _DataWait()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Attach this callback to the loader; in a resumed run, start counting at the resumed step."""
        self._stats = self._logged = RunStats(steps=trainer.global_step, first_step=trainer.global_step)
        self._wait = _DataWait(on_gpu=module.device.type == "cuda")
        loader = trainer.train_dataloader
        assert isinstance(loader, TimedLoader)
        loader.stopwatch = self

    def before_batch(self) -> None:
        """Start the clock if the clock is stopped, and start the measurement of the wait."""
        if self._started is None:
            self._started = time.perf_counter()
        self._wait.start()

    def after_batch(self) -> None:
        """Stop the measurement of the wait."""
        self._wait.stop()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: object, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Count steps and images, and log every `trainer.log_every_n_steps` steps."""
        stats = self._stats._replace(images=self._stats.images + len(batch.content) * trainer.world_size)
        self._stats = stats._replace(steps=trainer.global_step)
        if trainer.global_step == stats.steps:  # gradients are accumulated over several batches
            return
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every > 0 and trainer.global_step % every == 0:
            self._log(trainer, module)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop the clock until the next batch is requested."""
        self._stop()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    @property
    def stats(self) -> RunStats:
        """Counts and times from the start of the process until now."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._stats._replace(seconds=self._stats.seconds + running, waited=self._wait.seconds())

    def _stop(self) -> None:
        self._stats, self._started = self.stats, None

    def _log(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        now = self.stats
        new, self._logged = now.since(self._logged), now
        means = {"data_wait": new.data_wait, "step_seconds": new.seconds / new.steps}
        maxima = {"gpu_memory_gib": torch.cuda.max_memory_allocated(module.device) / 2**30} if self._wait.on_gpu else {}
        maxima["host_memory_gib"] = _max_host_memory() / 2**30
        values = {"images_per_second": new.images_per_second}
        for figures, operation in ((means, "mean"), (maxima, "max")):
            over_processes = torch.tensor(list(figures.values()), device=module.device)
            values |= zip(figures, trainer.strategy.reduce(over_processes, reduce_op=operation).tolist(), strict=True)
        for logger in trainer.loggers:
            # Logs count steps from 0.
            logger.log_metrics({f"train/{key}": value for key, value in values.items()}, step=now.steps - 1)


def run_stats(trainer: pl.Trainer) -> RunStats:
    """Collect counts and times of a run from its callbacks; without a `Throughput` callback, the times are 0."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    measured = [callback.stats for callback in callbacks if isinstance(callback, Throughput)]
    skipped = sum(len(callback.seen) for callback in callbacks if isinstance(callback, SkippedPhotos))
    return (measured or [RunStats()])[0]._replace(steps=trainer.global_step, skipped=skipped)


class _DataWait:
    """Stopwatch for the time in which the device waits for a batch."""

    def __init__(self, on_gpu: bool = False) -> None:
        self.on_gpu = on_gpu
        self._seconds, self._started = 0.0, 0.0
        self._pending: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []  # pairs that the GPU has not reached yet

    def start(self) -> None:
        self._started = time.perf_counter()
        if self.on_gpu:
            # The GPU reaches the first event after its previous work, and the second event after the batch arrives.
            pair = (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            pair[0].record()
            self._pending.append(pair)

    def stop(self) -> None:
        if self.on_gpu:
            self._pending[-1][1].record()
        else:
            self._seconds += time.perf_counter() - self._started

    def seconds(self) -> float:
        """Return the total data wait until now, in seconds. The method itself does not wait for the GPU."""
        while self._pending and self._pending[0][1].query():  # type: ignore[no-untyped-call]
            before, after = self._pending.pop(0)
            self._seconds += before.elapsed_time(after) / 1000
        return self._seconds


def _max_host_memory() -> int:
    """Return the maximum memory that this process has used, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # here, because Windows has no such module

    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum if sys.platform == "darwin" else maximum * 1024
