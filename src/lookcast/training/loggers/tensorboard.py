"""TensorBoard logger, with continuous curves for a resumed run."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lookcast.checks import InputError
from lookcast.training.loggers.base import RESULT_COLUMNS, RunLogger, result_rows
from lookcast.training.summary import TrainResult


class RunTensorBoard(RunLogger, TensorBoardLogger):
    """Log to TensorBoard; each start or resume of a run writes a new event file.

    Args:
        save_dir: the run folder; its subfolder `tensorboard` holds the event files.
        kwargs: arguments of `pytorch_lightning.loggers.TensorBoardLogger`.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, save_dir: str | Path, **kwargs: Any) -> None:
        if find_spec("tensorboard") is None:
            raise InputError("logger=tensorboard: needs tensorboard; say pip install '.[tensorboard]'")
        super().__init__(save_dir, name="tensorboard", version="", default_hp_metric=False, **kwargs)

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Make TensorBoard hide `step` and later steps in the event files of earlier starts.

        `purge_step` of `SummaryWriter` has the same effect, but the writer is built before this step is known.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        start = SessionLog(status=SessionLog.START)
        self.experiment.file_writer.add_event(Event(step=step, session_log=start))

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Do nothing: Hydra writes the config into the run folder."""

    @rank_zero_only
    def log_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Log a picture as an image."""
        self.experiment.add_image(name, np.asarray(picture), step, dataformats="HWC")

    @rank_zero_only
    def log_result(self, result: TrainResult) -> None:
        """Log the result table as text."""
        lines = [RESULT_COLUMNS, ["---"] * 3, *([name, *map(_cell, numbers)] for name, *numbers in result_rows(result))]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        self.experiment.add_text("result", table, result.stats.steps)
        self.save()

    @rank_zero_only
    def save(self) -> None:
        """Flush the event file; unlike Lightning, write no `hparams.yaml`."""
        self.experiment.flush()


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.4f}"
