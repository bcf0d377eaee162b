"""Base class of the loggers of a run, and the callback that resumes the loggers."""

import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import Logger

from lookcast.training.summary import TrainResult, figures_of


class RunLogger(Logger):
    """Base class of loggers that can resume and can log pictures and results; each method does nothing by default."""

    def resume_at(self, step: int) -> None:
        """Drop the logs of `step` and of later steps, which a resumed run trains again. In a new run, `step` is 0."""

    def log_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Log a picture."""

    def log_result(self, result: TrainResult) -> None:
        """Log the result of a finished run."""

    def close(self) -> None:
        """Close the log of this run, so that the next run of a sweep starts a new log."""


def run_loggers(trainer: pl.Trainer) -> list[RunLogger]:
    """Return the loggers of a run that are instances of `RunLogger`."""
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]


class ResumedLogs(pl.Callback):
    """Resume the loggers when the training starts. Before that, the loggers don't know the step of the checkpoint."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Drop the log of all steps that the run trains again."""
        for logger in run_loggers(trainer):
            logger.resume_at(trainer.global_step)


RESULT_COLUMNS = ("figure", "untouched", "trained")


def result_rows(result: TrainResult) -> list[tuple[str, float | None, float]]:
    """Return the rows of the result table: the main metrics, then the loss terms."""
    losses = [(name, None, value) for name, value in result.metrics.items() if name.startswith("val/loss/")]
    return [*figures_of(result.metrics), *losses]
