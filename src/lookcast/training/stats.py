"""Counts and speed of a run."""

from typing import NamedTuple


class RunStats(NamedTuple):
    """Counts of a run and, where `callbacks.throughput` measures it, the time it took.

    Attributes:
        steps: steps of the optimiser in the whole run.
        images: images trained on since the process started, over all processes.
        seconds: time spent training since the process started, without validation; 0 if it was not measured.
        waited: seconds of these in which the device of this process waited for a batch.
        first_step: step at which the process started; above 0 in a resumed run.
        skipped: photos that could not be read.
    """

    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    first_step: int = 0
    skipped: int = 0

    def since(self, earlier: "RunStats") -> "RunStats":
        """Return the counts and times after an earlier moment of the same process."""
        return self._replace(
            steps=self.steps - earlier.steps,
            images=self.images - earlier.images,
            seconds=self.seconds - earlier.seconds,
            waited=self.waited - earlier.waited,
        )

    @property
    def images_per_second(self) -> float:
        """Images per second of training, over all processes."""
        return self.images / self.seconds if self.seconds > 0 else 0.0

    @property
    def data_wait(self) -> float:
        """Share of the time spent waiting for data, in [0, 1]."""
        return self.waited / self.seconds if self.seconds > 0 else 0.0
