"""TensorBoard, whose curves go on in one piece when a run is resumed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lookcast.checks import InputError


class RunTensorBoard(TensorBoardLogger):
    """Event files of a run, one for each time that it was started.

    Args:
        save_dir: the run folder; the files go to `tensorboard` in it.
        kwargs: as for `pytorch_lightning.loggers.TensorBoardLogger`.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, save_dir: str | Path, **kwargs: Any) -> None:
        if find_spec("tensorboard") is None:
            raise InputError("logger=tensorboard: needs tensorboard; say pip install '.[tensorboard]'")
        super().__init__(save_dir, name="tensorboard", version="", default_hp_metric=False, **kwargs)

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Have TensorBoard hide what earlier files hold of this step and of those behind it.

        `purge_step` of `SummaryWriter` does the same, but has to be known before it is made.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        start = SessionLog(status=SessionLog.START)
        self.experiment.file_writer.add_event(Event(step=step, session_log=start))

    @rank_zero_only
    def save(self) -> None:
        """Write out what was logged; without the `hparams.yaml` that Lightning adds, Hydra has written the config."""
        self.experiment.flush()
