"""Find the training checkpoint of a resumed run, and check that the checkpoint belongs to the run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lookcast.checks import InputError
from lookcast.generators import Generator
from lookcast.paths import check_file
from lookcast.training.renamed import rename_config
from lookcast.weights import CheckpointError, load_into

MAY_DIFFER = (
    "run_dir", "resume", "name", "licence", "logger", "callbacks", "compile", "channels_last",
    "encoder.weights", "generator.encoder.weights",
    # The data module compares only the names of photos with the checkpoint, so the folders may move.
    "data.photos", "data.val_photos", "data.masks", "data.styles", "data.val_styles",
    # The sequence of samples does not depend on the batch size and the number of processes.
    "data.seed",  # the run's seed
    "data.batch_size", "data.num_workers", "data.cache_mb", "data.val_size", "data.num_val",
    "scheduler.total_steps",
)  # fmt: skip
"""Settings that may differ between a checkpoint and the run that resumes from the checkpoint."""
ADDED = {"loss.truth_weight": 0.0, "loss.flatness_weight": 0.0, "loss.style_share_with_truth": 1.0}
"""Settings that checkpoints of earlier versions lack. With these values, a run trains as in the earlier versions.

New settings of universal runs are not listed. Universal runs of earlier versions can't resume, because training now
cuts other windows from the photos (`draw_parts`).
"""
TRAINER_MUST_AGREE = ("trainer.precision", "trainer.accumulate_grad_batches", "trainer.gradient_clip_val")
"""Trainer settings that must be the same in the checkpoint and in the run that resumes from the checkpoint. All other
trainer settings may differ, because they select the hardware or the length of a run."""


def checkpoint_to_resume(resume: str | None, run_dir: Path) -> Path | None:
    """Return the path of the training checkpoint to resume from; None for a new run.

    Args:
        resume: path of a training checkpoint, `auto` or None. `auto` means `checkpoints/last.ckpt` of the run folder,
            or a new run if this file does not exist. None means a new run.
        run_dir: the run folder.

    Raises:
        InputError: the path does not exist, or the path is not a regular file.
    """
    if resume is None:
        return None
    path = run_dir / "checkpoints" / "last.ckpt" if resume == "auto" else Path(resume)
    if resume == "auto" and not path.exists():
        return None
    try:
        return check_file(path, "checkpoint")
    except InputError as error:
        raise InputError(f"resume: {error}") from error


def check_training_checkpoint(path: Path, generator: Generator, config: dict[str, Any]) -> None:
    """Refuse a file that is no training checkpoint, or a training checkpoint of a different run.

    Raises:
        InputError: the checkpoint is refused; the message names the file and the first setting that differs.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        weights, trained = checkpoint["state_dict"], rename_config(checkpoint["config"])[0]
    except Exception as error:  # torch.load can raise any exception for arbitrary bytes
        raise InputError(
            f"resume: {path}: expected a training checkpoint, such as checkpoints/last.ckpt of a run"
        ) from error
    difference = _first_difference(trained, config)
    if difference is not None:
        key, before, now = difference
        raise InputError(
            f"resume: {path}: was trained with {key}={before}, this run has {now}; start a new run in another run_dir; "
            "init_from=CHECKPOINT sets its initial weights"
        )
    try:
        prefix = "generator."
        own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
        load_into(generator, own, path)
    except CheckpointError as error:
        raise InputError(f"resume: {error}") from error


def _first_difference(trained: dict[str, Any], config: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return `(key, old value, new value)` of the first setting that must agree but differs; None if all agree."""
    before, now = {**ADDED, **dict(_settings(trained))}, dict(_settings(config))
    for key in [*now, *(key for key in before if key not in now and key not in ADDED)]:  # in the order of the config
        if _must_agree(key, "styles" in config["data"]) and before.get(key) != now.get(key):
            return key, before.get(key), now.get(key)
    return None


def _must_agree(key: str, pairs: bool) -> bool:
    if key == "style" and pairs:  # `style` repeats data.styles
        return False
    if key.startswith("trainer."):
        return key in TRAINER_MUST_AGREE
    return not any(key == other or key.startswith(f"{other}.") for other in MAY_DIFFER)


def _settings(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a pair `(dotted key, value)` for each value of a nested config."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
