"""What the callbacks of a run have counted."""

import pytorch_lightning as pl

from lookcast.training.callbacks.skipped import SkippedPhotos
from lookcast.training.callbacks.throughput import Throughput
from lookcast.training.work import Work


def throughput_of(trainer: pl.Trainer) -> Throughput | None:
    """The run's own; None where the config leaves it out."""
    return next((callback for callback in _callbacks(trainer) if isinstance(callback, Throughput)), None)


def work_of(trainer: pl.Trainer) -> Work:
    """For the summary."""
    throughput = throughput_of(trainer)
    skipped = sum(len(callback.seen) for callback in _callbacks(trainer) if isinstance(callback, SkippedPhotos))
    return Work(trainer.global_step, throughput.tally if throughput else None, skipped)


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks
