"""Where the time of a step goes."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.profiler import ProfilerActivity, profile

from lookcast.atomic import atomic_write
from lookcast.checks import InputError

log = logging.getLogger(__name__)

ROWS = 40


class StepProfile(pl.Callback):
    """Records some steps in the middle of a run by torch's profiler: `table.txt`, most expensive first, and a trace.

    A step is what lies between the ends of two: the wait for its batch is part of it. Lightning's `PyTorchProfiler`
    counts its steps inside of the optimiser's, where that wait is torn in two, and anew for every validation.

    Args:
        folder: where `table.txt` and `trace.json.gz` (chrome://tracing, ui.perfetto.dev) go; of the first process.
        first_step: steps of this run before the first that is recorded: allocations and compilation come first.
        num_steps: how many are recorded.

    Raises:
        InputError: a number of steps below 1.
    """

    def __init__(self, folder: str | Path, first_step: int = 6, num_steps: int = 3) -> None:
        for name, number in (("first_step", first_step), ("num_steps", num_steps)):
            if number < 1:
                raise InputError(f"{name}: expected at least 1, got {number}")
        self.folder, self.first_step, self.num_steps = Path(folder), first_step, num_steps
        self.step = -1
        self.running: profile | None = None
        self.written = False

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Count from where the run begins."""
        self.begin = trainer.global_step + self.first_step

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Begin, go on to the next step, or end."""
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
        """Say so where the run was too short."""
        if self.running is not None:
            self._end(module.device.type)
        if trainer.is_global_zero and not self.written:
            log.warning("no profile: the run ended before its step %d", self.first_step + 1)

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Nothing to write of a run that breaks off."""
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
