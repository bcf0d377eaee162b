"""Weights & Biases: the decision that it needs before it starts, and one run of it for a run that is resumed."""

import netrc
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from lookcast.atomic import atomic_write


class RunWandb(WandbLogger):
    """Counts wandb's own steps by those of the training, where Lightning has wandb count calls.

    So what belongs to one step stands in one row, wandb leaves out what a resumed run logs a second time, and
    `wandb sync --append` puts the parts of an interrupted offline run one behind the other.
    """

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log figures, pictures or tables of this step."""
        self.experiment.log({**metrics, "trainer/global_step": step}, step=step)


def wandb_logger(save_dir: str, offline: bool | None = None, id: str | None = None, **kwargs: Any) -> RunWandb:
    """Weights & Biases; offline where no key is at hand, instead of a question in the middle of a job.

    Args:
        save_dir: the run folder; `wandb sync` uploads an offline run from there later.
        offline: None decides by whether there is a key (`WANDB_API_KEY`, or one for the server of `WANDB_BASE_URL` in
            the netrc file) or a `WANDB_MODE`.
        id: of the run at wandb; None takes `WANDB_RUN_ID`, or the one that the run folder keeps in `wandb_id.txt`, so
            that a resumed run goes on in the same curves; in a new folder a new one.
        kwargs: as for `pytorch_lightning.loggers.WandbLogger`: project, name, tags, ...
    """
    if offline is None:
        offline = "WANDB_MODE" not in os.environ and not _has_key()
    Path(save_dir).mkdir(parents=True, exist_ok=True)  # wandb would fall back to a temporary folder
    id = id or os.environ.get("WANDB_RUN_ID")
    if id is None:
        path = Path(save_dir) / "wandb_id.txt"
        _keep_id(path)
        id = path.read_text().strip() if path.is_file() else None
    return RunWandb(save_dir=save_dir, offline=offline, id=id, resume="allow", **kwargs)


@rank_zero_only
def _keep_id(path: Path) -> None:
    """Only the first process talks to wandb, and only it makes an id."""
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
        return False  # wandb could not read a key from it either
    return entry is not None and bool(entry[2])
