"""Resuming, pictures and results in the loggers of a run."""

import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import Logger

from lookcast.training.summary import TrainResult, figures_of


class RunLogger(Logger):
    """A logger that can resume, show pictures and show results; by default it does nothing for each of them."""

    def resume_at(self, step: int) -> None:
        """Drop what was logged of `step` and later steps: they are trained again. A new run resumes at 0."""

    def log_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture."""

    def log_result(self, result: TrainResult) -> None:
        """Show what a finished run leaves."""

    def close(self) -> None:
        """Finish the run, so that the next run of a sweep begins its own."""


def run_loggers(trainer: pl.Trainer) -> list[RunLogger]:
    """Return the loggers of a run that can do more than log figures."""
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]


class ResumedLogs(pl.Callback):
    """Tell the loggers at which step the training starts: they are built before the checkpoint is read."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Drop what was logged of steps that are trained again."""
        for logger in run_loggers(trainer):
            logger.resume_at(trainer.global_step)


RESULT_COLUMNS = ("figure", "untouched", "trained")


def result_rows(result: TrainResult) -> list[tuple[str, float | None, float]]:
    """Return the table of a result: its figures, then the terms of the loss."""
    losses = [(name, None, value) for name, value in result.metrics.items() if name.startswith("val/loss/")]
    return [*figures_of(result.metrics), *losses]
