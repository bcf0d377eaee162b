"""What Hydra and its plugins refuse, said in one line."""

import re

from lookcast.checks import InputError

_PLUGINS = (
    ("hydra/launcher/submitit", "hydra-submitit-launcher", "slurm"),
    ("hydra/sweeper/optuna", "hydra-optuna-sweeper", "sweep"),
)
"""How the names of its configs begin, the plugin, and the extra that brings it."""


def one_line(error: Exception) -> str:
    """What Hydra or the system refuses, with the override it is about and without the pointers that follow."""
    if isinstance(error, OSError) and error.errno is not None:  # Hydra's own for a missing config has no number
        return f"{error.filename or 'the run folder'}: can't be written ({error.strerror})"
    text = str(error)
    for config, plugin, extra in _PLUGINS:
        if re.search(rf"Could not (find|load) '{config}", text):
            return f"{config.rpartition('/')[0]}: {plugin} is not installed; pip install 'lookcast[{extra}]'"
    line = " ".join(re.split(r"\nSee https|\nConfig search path", text)[0].split())
    override = getattr(error, "override", None)
    return f"{override}: {line}" if override and override not in line else line


def refused_elsewhere(error: Exception) -> InputError | None:
    """What a run of a sweep refused in a job of its own; None for any other error, a fault in that job too.

    submitit hands on no exceptions, but a text with the traceback.
    """
    if type(error).__module__.partition(".")[0] != "submitit":
        return None
    found = re.findall(r"^lookcast\.checks\.\w+: (.*)$", str(error), re.MULTILINE)
    return InputError(found[-1]) if found else None
