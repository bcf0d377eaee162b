"""Filters for messages that need no action, and for messages that repeat."""

import logging
import os
import warnings

_NOT_NEEDED = (
    ".*does not have many workers.*",  # on two cores a worker process takes from the network what it gives
    ".*module.* in eval mode at the start of training.*",  # the encoder is frozen
    ".*exists and is not empty.*",  # the run folder already holds the lock, and metrics.csv after a resume
    ".*The dirpath has changed.*",  # a resumed run has its own folder
    ".*LeafSpec.*is deprecated.*",
    ".*find_unused_parameters=True was specified.*did not find any.*",  # only the universal module leaves some unused
)
"""Warnings of Lightning and torch in every run."""
_NO_SLURM_JOB = ".*`srun` command is available on your system but is not used.*"


class OnceFilter(logging.Filter):
    """Pass each message of a logger and its children the first time only.

    A training reads each photo many times, and what is odd about it is worth one line.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record passes."""
        if not super().filter(record):
            return True
        message = record.getMessage()
        new = message not in self.seen
        self.seen.add(message)
        return new


def quieten() -> None:
    """Silence the messages of every run, and repeated messages about photos, in the handlers of the root logger."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    outside = () if "SLURM_JOB_ID" in os.environ else (_NO_SLURM_JOB,)  # a run on a login node is meant
    for message in (*_NOT_NEEDED, *outside):
        warnings.filterwarnings("ignore", message=message)
    for handler in logging.root.handlers:  # a filter of a logger would not see the records of its children
        if not any(isinstance(known, OnceFilter) for known in handler.filters):
            handler.addFilter(OnceFilter("lookcast.photos"))
