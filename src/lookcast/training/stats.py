"""Counts, times and speed of a run."""

from typing import NamedTuple


class RunStats(NamedTuple):
    """Counts of a run, and times if `callbacks.throughput` is on.

    Attributes:
        steps: number of optimiser steps in the whole run, including the steps before a resume.
        images: number of images trained on since the process started, summed over all processes.
        seconds: training time since the process started, without validation; 0 if the time was not measured.
        waited: part of `seconds` in which the device of this process waited for a batch.
        first_step: step at which the process started; above 0 in a resumed run.
        skipped: number of photos that were skipped because they could not be read.
    """

    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    first_step: int = 0
    skipped: int = 0

    def since(self, earlier: "RunStats") -> "RunStats":
        """Subtract earlier stats of the same process; `first_step` and `skipped` keep their values."""
        return self._replace(
            steps=self.steps - earlier.steps,
            images=self.images - earlier.images,
            seconds=self.seconds - earlier.seconds,
            waited=self.waited - earlier.waited,
        )

    @property
    def images_per_second(self) -> float:
        """Images per second of training time, summed over all processes; 0 without measured time."""
        return self.images / self.seconds if self.seconds > 0 else 0.0

    @property
    def data_wait(self) -> float:
        """Share of the training time in which the device waited for data, in [0, 1]; 0 without measured time."""
        return self.waited / self.seconds if self.seconds > 0 else 0.0
