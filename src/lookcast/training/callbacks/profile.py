"""Profile of training steps."""

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
    """Record some steps with torch's profiler: a table, most expensive operation first, and a trace.

    A step lasts from the end of one step to the end of the next, so it includes the wait for its batch. Lightning's
    `PyTorchProfiler` begins a step inside the optimiser's, which splits that wait, and restarts at every validation.

    Args:
        folder: folder for `table.txt` and `trace.json.gz` (chrome://tracing, ui.perfetto.dev) of the first process.
        first_step: steps of this run before the first recorded one: allocations and compilation come first.
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
        """Annotated[int, Field(ge=1)] from the step at which the run starts."""
        self.begin = trainer.global_step + self.first_step

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Start recording, mark the next step, or stop."""
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
        """Stop recording; warn if the run was too short."""
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
