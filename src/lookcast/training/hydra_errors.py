"""One-line messages for what Hydra, its plugins and the system refuse."""

import re

from lookcast.checks import InputError
from lookcast.training.renamed import old_names

_PLUGINS = (
    ("hydra/launcher/submitit", "hydra-submitit-launcher", "slurm"),
    ("hydra/sweeper/optuna", "hydra-optuna-sweeper", "sweep"),
)
"""The beginning of a plugin's config names, the plugin, and the extra of lookcast that installs it."""


def one_line(error: Exception) -> str:
    """Return a message with the override that it is about, and without Hydra's hints on further lines."""
    if isinstance(error, OSError) and error.errno is not None:  # Hydra's own error for a missing config has no number
        return f"{error.filename or 'the run folder'}: can't be written ({error.strerror})"
    text = str(error)
    for config, plugin, extra in _PLUGINS:
        if re.search(rf"Could not (find|load) '{config}", text):
            return f"{config.rpartition('/')[0]}: {plugin} is not installed; pip install 'lookcast[{extra}]'"
    text, _, details = text.partition("full_key: ")
    if key := details.partition("\n")[0].strip():
        cause = error.__cause__
        kind = f"{type(cause).__name__}: " if isinstance(cause, (TypeError, ImportError, AttributeError)) else ""
        return f"{key}: {kind}{_join(str(cause or text))}"
    line = _join(re.split(r"\nSee https|\nConfig search path|, set env var HYDRA_FULL_ERROR", text)[0])
    for old, new in old_names(text):
        line += f"; {old} is now {new}"
    override = getattr(error, "override", None)
    if override and override not in line:
        return f"{override}: {line}; special characters in a value need quotes inside the shell's: 'KEY=\"VALUE\"'"
    return line


def _join(text: str) -> str:
    return " ".join(text.split())


def refused_elsewhere(error: Exception) -> InputError | None:
    """Return the `InputError` of a sweep's run in a submitit job; None for any other error, faults in the job included.

    submitit passes on the text of an exception with its traceback, not the exception.
    """
    if type(error).__module__.partition(".")[0] != "submitit":
        return None
    found = re.findall(r"^lookcast\.checks\.\w+: (.*)$", str(error), re.MULTILINE)
    return InputError(found[-1]) if found else None
