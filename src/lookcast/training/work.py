"""How much a run has done, and how fast."""

from typing import NamedTuple


class Tally(NamedTuple):
    """What a run has done since it was started.

    Attributes:
        steps: of the optimiser.
        images: over all processes.
        seconds: of training, without validation and what is written behind it.
        waited: how many of these seconds the device of this process had nothing to do for want of a batch.
    """

    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def since(self, earlier: "Tally") -> "Tally":
        """The difference."""
        return Tally(
            self.steps - earlier.steps,
            self.images - earlier.images,
            self.seconds - earlier.seconds,
            self.waited - earlier.waited,
        )

    @property
    def images_per_second(self) -> float:
        """Over all processes."""
        return self.images / self.seconds if self.seconds > 0 else 0.0

    @property
    def data_wait(self) -> float:
        """Share of the time, in [0, 1]."""
        return self.waited / self.seconds if self.seconds > 0 else 0.0


class Work(NamedTuple):
    """What a whole run took.

    Attributes:
        steps: all of them; a resumed run goes on counting.
        tally: what was done since the last start; None in a run that did not measure it (`callbacks.throughput`).
        skipped: photos that could not be read.
    """

    steps: int
    tally: Tally | None
    skipped: int
