"""A DataLoader that reports the start and the end of each wait for a batch."""

from collections.abc import Iterator
from typing import Any, Protocol

from torch.utils.data import DataLoader


class Stopwatch(Protocol):
    """An object that measures how long training waits for batches."""

    def before_batch(self) -> None:
        """Record the start of a wait: a batch is requested."""

    def after_batch(self) -> None:
        """Record the end of a wait: the batch has arrived."""


class TimedLoader(DataLoader[Any]):
    """A DataLoader that tells a stopwatch when a batch is requested and when it arrives.

    Hooks of Lightning can't measure this wait: between `on_train_batch_end` and the next `on_train_batch_start`, a run
    also writes checkpoints and pictures, and transfers and transforms the batch.

    Attributes:
        stopwatch: the object to notify; may be set at any time; None turns the measurement off.
    """

    stopwatch: Stopwatch | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Start the workers at once, and return an iterator over the batches."""
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
