"""Where a run goes on from, and whether it may."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lookcast.checks import InputError
from lookcast.generators import Generator
from lookcast.weights import CheckpointError, load_into

FREE = (
    "run_dir", "resume", "name", "licence", "logger", "callbacks", "compile", "channels_last",
    "encoder.weights", "generator.encoder.weights",
    # Which photos they are is compared by their names, wherever they lie.
    "data.photos", "data.val_photos", "data.masks", "data.styles", "data.val_styles",
    # The stream of samples does not depend on how it is divided.
    "data.seed",  # the run's
    "data.batch_size", "data.num_workers", "data.cache_mb", "data.val_size", "data.num_val",
    "scheduler.total_steps",
)  # fmt: skip
"""Settings that a run may have otherwise than the checkpoint it goes on from."""
BOUND = ("trainer.precision", "trainer.accumulate_grad_batches", "trainer.gradient_clip_val")
"""Those of the trainer that it may not; the others say where and how long."""


def find_checkpoint(resume: str | None, run_dir: Path) -> Path | None:
    """The checkpoint to go on from: `auto` takes the last of the run folder where there is one.

    Raises:
        InputError: it does not exist.
    """
    if resume is None:
        return None
    if resume == "auto":
        last = run_dir / "checkpoints" / "last.ckpt"
        return last if last.is_file() else None
    if not Path(resume).is_file():
        raise InputError(f"resume: {resume}: no such checkpoint")
    return Path(resume)


def check_checkpoint(path: Path, generator: Generator, config: dict[str, Any]) -> None:
    """Refuse a file that is no training checkpoint, or that of another run, before the run starts.

    Raises:
        InputError: it says which, and the first setting that differs.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        weights, trained = checkpoint["state_dict"], checkpoint["config"]
    except Exception as error:  # on other bytes torch.load raises whatever they lead it to
        raise InputError(
            f"resume: {path}: not a training checkpoint, such as checkpoints/last.ckpt of a run"
        ) from error
    difference = _first_difference(trained, config)
    if difference is not None:
        key, before, now = difference
        raise InputError(
            f"resume: {path}: was trained with {key}={before}, this run has {now}; start anew in another run_dir, or "
            "with its weights alone, by init_from"
        )
    try:
        prefix = "generator."
        own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
        load_into(generator, own, path)
    except CheckpointError as error:
        raise InputError(f"resume: {error}") from error


def _first_difference(trained: dict[str, Any], config: dict[str, Any]) -> tuple[str, Any, Any] | None:
    before, now = dict(_settings(trained)), dict(_settings(config))
    for key in [*now, *(key for key in before if key not in now)]:  # in the order of the config
        if not _is_free(key, "styles" in config["data"]) and before.get(key) != now.get(key):
            return key, before.get(key), now.get(key)
    return None


def _is_free(key: str, pairs: bool) -> bool:
    if key == "style" and pairs:  # a folder, as data.styles
        return True
    if key.startswith("trainer."):
        return key not in BOUND
    return any(key == free or key.startswith(f"{free}.") for free in FREE)


def _settings(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
