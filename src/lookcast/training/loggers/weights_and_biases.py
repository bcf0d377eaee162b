"""Logger for Weights & Biases, online or offline; a resumed run continues the same wandb run."""

import netrc
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from lookcast.atomic import atomic_write
from lookcast.training.loggers.base import RESULT_COLUMNS, RunLogger, result_rows
from lookcast.training.summary import TrainResult


class RunWandb(RunLogger, WandbLogger):
    """Log to Weights & Biases; without an API key, log offline instead of asking for a key during a job.

    The step in wandb is the training step. With Lightning's logger, it would be the number of log calls. Using the
    training step has three effects:
    * All metrics of a training step share one row.
    * If a resumed run logs a step again, wandb ignores the second log.
    * `wandb sync --append` can join the parts of an offline run.

    Args:
        save_dir: the run folder; `wandb sync` can later upload an offline run from this folder.
        offline: whether to log offline. None means offline if neither an API key nor `WANDB_MODE` is set. The API key
            is `WANDB_API_KEY`, or the key for the server of `WANDB_BASE_URL` in the netrc file.
        id: id of the wandb run. None uses `WANDB_RUN_ID`, or the id in `wandb_id.txt` of the run folder, so that a
            resumed run continues its curves. A new run folder gets a new id.
        kwargs: arguments of `pytorch_lightning.loggers.WandbLogger`: project, name, tags, ...
    """

    def __init__(self, save_dir: str, offline: bool | None = None, id: str | None = None, **kwargs: Any) -> None:
        if offline is None:
            offline = "WANDB_MODE" not in os.environ and not _has_key()
        Path(save_dir).mkdir(parents=True, exist_ok=True)  # wandb would use a temporary folder
        id = id or os.environ.get("WANDB_RUN_ID") or _id_of(Path(save_dir))
        super().__init__(save_dir=save_dir, offline=offline, id=id, resume="allow", **kwargs)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics, pictures or tables of a step."""
        self.experiment.log({**metrics, "trainer/global_step": step}, step=step)

    def log_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Log a picture."""
        self.log_image(name, [picture], step)

    @rank_zero_only
    def log_result(self, result: TrainResult) -> None:
        """Log the result table, and log the checkpoint for inference as an artifact."""
        import wandb

        step = result.stats.steps
        self.log_table("result", list(RESULT_COLUMNS), [list(row) for row in result_rows(result)], step=step)
        figures = {**result.metrics, "steps": step}
        artifact = wandb.Artifact(f"look-{self.experiment.id}", "model", metadata=figures)
        # The policy "mutable" would copy the file into the home folder until the upload.
        artifact.add_file(str(result.checkpoint), policy="immutable")
        self.experiment.log_artifact(artifact)

    @rank_zero_only
    def close(self) -> None:
        """Finish the wandb run, because Lightning does not finish the run."""
        self.experiment.finish()


def _id_of(run_dir: Path) -> str | None:
    path = run_dir / "wandb_id.txt"
    _make_id(path)
    return path.read_text().strip() if path.is_file() else None


@rank_zero_only
def _make_id(path: Path) -> None:
    """Write a new id if the file is missing; only the first process logs to wandb, so only this process writes."""
    if not path.is_file():
        with atomic_write(path) as temporary:
            temporary.write_text(f"{secrets.token_hex(4)}\n")


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        entry = netrc.netrc(path).authenticators(host) if path.is_file() else None
    except (netrc.NetrcParseError, OSError):
        return False  # wandb can't read a key from this file either
    return entry is not None and bool(entry[2])
