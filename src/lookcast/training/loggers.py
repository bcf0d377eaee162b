"""Loggers that need a decision before they start."""

import netrc
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger


def wandb_logger(save_dir: str, offline: bool | None = None, **kwargs: Any) -> WandbLogger:
    """Weights & Biases; offline where no key is at hand, instead of a question in the middle of a job.

    Args:
        save_dir: folder for its files; `wandb sync` uploads an offline run from there later.
        offline: None decides by whether there is a key (`WANDB_API_KEY`, or one in the netrc file) or a `WANDB_MODE`.
        kwargs: as for `pytorch_lightning.loggers.WandbLogger`: project, name, tags, ...
    """
    if offline is None:
        offline = "WANDB_MODE" not in os.environ and not _has_key()
    Path(save_dir).mkdir(parents=True, exist_ok=True)  # wandb would fall back to a temporary folder
    return WandbLogger(save_dir=save_dir, offline=offline, **kwargs)


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    return path.is_file() and netrc.netrc(path).authenticators("api.wandb.ai") is not None
