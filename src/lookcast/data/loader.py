"""A DataLoader whose batches are timed."""

from collections.abc import Iterator
from typing import Any, Protocol

from torch.utils.data import DataLoader


class Stopwatch(Protocol):
    """Whatever measures how long a training waits for batches."""

    def before_batch(self) -> None:
        """Note that a batch is requested."""

    def after_batch(self) -> None:
        """Note that the batch has arrived."""


class TimedLoader(DataLoader[Any]):
    """A DataLoader that tells a stopwatch when a batch is requested and when it arrives.

    Lightning has no hook right before it requests a batch: checkpoints and pictures are written between
    `on_train_batch_end` and `on_train_batch_start`, and batches are moved to the device and finished there.

    Attributes:
        stopwatch: set it at any time; None measures nothing.
    """

    stopwatch: Stopwatch | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Start the workers now, then yield their batches."""
        return self._timed(super().__iter__())

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            stopwatch = self.stopwatch
            if stopwatch is not None:
                stopwatch.before_batch()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                if stopwatch is not None:
                    stopwatch.after_batch()
            yield batch
