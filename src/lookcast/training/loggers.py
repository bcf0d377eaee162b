"""Weights & Biases: the decision that it needs before it starts, the config, and its end."""

import netrc
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytorch_lightning.loggers import Logger, WandbLogger


def wandb_logger(save_dir: str, offline: bool | None = None, **kwargs: Any) -> WandbLogger:
    """Weights & Biases; offline where no key is at hand, instead of a question in the middle of a job.

    Args:
        save_dir: folder for its files; `wandb sync` uploads an offline run from there later.
        offline: None decides by whether there is a key (`WANDB_API_KEY`, or one for the server of `WANDB_BASE_URL` in
            the netrc file) or a `WANDB_MODE`.
        kwargs: as for `pytorch_lightning.loggers.WandbLogger`: project, name, tags, ...
    """
    if offline is None:
        offline = "WANDB_MODE" not in os.environ and not _has_key()
    Path(save_dir).mkdir(parents=True, exist_ok=True)  # wandb would fall back to a temporary folder
    return WandbLogger(save_dir=save_dir, offline=offline, **kwargs)


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


def log_config(loggers: Iterable[Logger], config: dict[str, Any]) -> None:
    """Hand the run's config to wandb; the other loggers write into the run folder, where Hydra has put it."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(config)


def close_wandb(loggers: Iterable[Logger]) -> None:
    """End wandb's run, which Lightning leaves open: the next job of a sweep would go on in it."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
