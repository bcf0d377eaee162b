"""What a run hands to its loggers beside figures."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pytorch_lightning as pl
import wandb
from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from lookcast.training.summary import TrainResult, figures_of


@runtime_checkable
class Resumable(Protocol):
    """A logger that has to know where a resumed run goes on."""

    def resume_at(self, step: int) -> None:
        """Forget this step and those behind it: they are trained again."""


def resume_at(loggers: Iterable[Logger], step: int) -> None:
    """Tell them which steps are done; 0 in a new run."""
    for logger in loggers:
        if isinstance(logger, Resumable):
            logger.resume_at(step)


def log_config(loggers: Iterable[Logger], config: dict[str, Any]) -> None:
    """Hand the run's config to wandb; the other loggers write into the run folder, where Hydra has put it."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(config)


def log_picture(loggers: Iterable[Logger], name: str, picture: Image.Image, step: int) -> None:
    """Show a picture where pictures can be shown."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [picture], step=step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, np.asarray(picture), step, dataformats="HWC")


def log_result(trainer: pl.Trainer, result: TrainResult) -> TrainResult:
    """Log a table of the figures at the end, to wandb also the checkpoint for inference, as an artifact; hand it on."""
    columns, step = ["figure", "untouched", "trained"], result.work.steps
    rows: list[list[Any]] = [list(row) for row in figures_of(result.metrics)]
    rows += [[name, None, value] for name, value in result.metrics.items() if name.startswith("val/loss/")]
    for logger in trainer.loggers if trainer.is_global_zero else ():
        if isinstance(logger, WandbLogger):
            logger.log_table("result", columns, rows, step=step)
            figures = {**result.metrics, "steps": step}
            artifact = wandb.Artifact(f"look-{logger.experiment.id}", "model", metadata=figures)
            # By its place in the run folder: "mutable" would copy it into the home folder until it is uploaded.
            artifact.add_file(str(result.checkpoint), policy="immutable")
            logger.experiment.log_artifact(artifact)
        elif isinstance(logger, TensorBoardLogger):
            lines = [columns, ["---"] * 3, *([name, *map(_cell, numbers)] for name, *numbers in rows)]
            table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
            logger.experiment.add_text("result", table, step)
            logger.save()
    return result


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.4f}"


def close_wandb(loggers: Iterable[Logger]) -> None:
    """End wandb's run, which Lightning leaves open: the next job of a sweep would go on in it."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
