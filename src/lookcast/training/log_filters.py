"""Filters for log messages and warnings that need no action, and for repeated log messages."""

import logging
import os
import warnings

_NOT_NEEDED = (
    ".*does not have many workers.*",  # on two cores, worker processes and the network compete for the cores
    ".*module.* in eval mode at the start of training.*",  # the encoder is frozen
    ".*exists and is not empty.*",  # the run folder contains the lock file, and metrics.csv after a resume
    ".*The dirpath has changed.*",  # a resumed run may have another folder
    ".*LeafSpec.*is deprecated.*",
    ".*find_unused_parameters=True was specified.*did not find any.*",  # the universal module has unused parameters
)
"""Patterns of warnings that Lightning and torch raise in every run."""
_NO_SLURM_JOB = ".*`srun` command is available on your system but is not used.*"


class OnceFilter(logging.Filter):
    """Let each message of a logger and its child loggers appear only once.

    A training reads each photo many times, and would repeat a message about the photo each time.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a message that the logger or a child logger has logged before, otherwise True."""
        if not super().filter(record):
            return True
        message = record.getMessage()
        new = message not in self.seen
        self.seen.add(message)
        return new


def quieten() -> None:
    """Silence the messages that appear in every run, and repeated messages about photos."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    outside = () if "SLURM_JOB_ID" in os.environ else (_NO_SLURM_JOB,)  # the user wants a run outside of a SLURM job
    for message in (*_NOT_NEEDED, *outside):
        warnings.filterwarnings("ignore", message=message)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # they name no file; lookcast does
    for handler in logging.root.handlers:  # the filter of a logger does not see the records of child loggers
        if not any(isinstance(known, OnceFilter) for known in handler.filters):
            handler.addFilter(OnceFilter("lookcast.photos"))
