"""Profiling of training steps."""

import logging
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
from pydantic import Field
from torch.profiler import ProfilerActivity, profile

from lookcast.atomic import atomic_write
from lookcast.checks import check_call

log = logging.getLogger(__name__)

ROWS = 40


class StepProfile(pl.Callback):
    """Profile some training steps with torch's profiler, and write a table of operations and a trace.

    The most expensive operation is the first row of the table. A recorded step begins at the end of the previous step,
    so the record includes the wait for the batch. Lightning's `PyTorchProfiler` begins a record inside the optimiser
    step, so the wait for a batch is split between two records. It also restarts at every validation.

    Args:
        folder: folder for `table.txt` and `trace.json.gz`. Only the first process of the run writes these files. Open
            the trace in chrome://tracing or ui.perfetto.dev.
        first_step: number of steps before the first recorded step, counted from the start or resume of the run. Skip
            the first steps, which include memory allocations and compilation.
        num_steps: number of recorded steps.
    """

    @check_call
    def __init__(
        self,
        folder: str | Path,
        first_step: Annotated[int, Field(ge=1)] = 6,
        num_steps: Annotated[int, Field(ge=1)] = 3,
    ) -> None:
        self.folder, self.first_step, self.num_steps = Path(folder), first_step, num_steps
        self.step = -1
        self.running: profile | None = None
        self.written = False

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Count `first_step` from the step at which the run starts or resumes."""
        self.begin = trainer.global_step + self.first_step

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Start the record, mark the end of a step in the record, or end the record."""
        step = trainer.global_step
        if not trainer.is_global_zero or step == self.step:  # gradients are accumulated over several batches
            return
        self.step = step
        if step == self.begin:
            activities = [ProfilerActivity.CPU]
            if module.device.type == "cuda":
                activities.append(ProfilerActivity.CUDA)
            self.running = profile(activities=activities, record_shapes=True)
            self.running.start()
        elif step == self.begin + self.num_steps:
            self._end(module.device.type)
        elif self.running is not None:
            self.running.step()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """End the record; log a warning if the run was too short for a profile."""
        if self.running is not None:
            self._end(module.device.type)
        if trainer.is_global_zero and not self.written:
            log.warning("no profile: the run ended before its step %d", self.first_step + 1)

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the profiler; a failed run writes no profile."""
        if self.running is not None:
            self.running.stop()

    def _end(self, device: str) -> None:
        assert self.running is not None
        recorded, self.running = self.running, None
        recorded.stop()
        by = "self_cpu_time_total" if device == "cpu" else "self_device_time_total"
        with atomic_write(self.folder / "table.txt") as temporary:
            temporary.write_text(recorded.key_averages().table(sort_by=by, row_limit=ROWS))
        with atomic_write(self.folder / "trace.json.gz") as temporary:
            recorded.export_chrome_trace(str(temporary))
        self.written = True
        log.info("profile of %d steps in %s", self.num_steps, self.folder)
