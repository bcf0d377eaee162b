"""One-line messages for errors of Hydra, its plugins and the operating system."""

import re
from collections.abc import Sequence

from lookcast.checks import InputError
from lookcast.training.renamed import old_names

_PLUGINS = (
    ("hydra/launcher/submitit", "hydra-submitit-launcher", "slurm"),
    ("hydra/sweeper/optuna", "hydra-optuna-sweeper", "sweep"),
)
"""Tuples `(prefix, plugin, extra)`. The plugin provides the configs whose names begin with the prefix.
`pip install 'lookcast[extra]'` installs the plugin."""


def one_line(error: Exception, overrides: Sequence[str] = ()) -> str:
    """Return an error's message as one line without Hydra's hints. If an override is wrong, the line names it.

    Args:
        error: the error.
        overrides: all overrides. The line names them if Hydra's message names the key of none of them.
    """
    if isinstance(error, OSError) and error.errno is not None:  # Hydra's error for a missing config has no errno
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
    if override and line.startswith("LexerNoViableAltException"):
        return f"{override}: expected KEY=VALUE; a key has letters, digits, '_', '.' and '/'"
    if override and override not in line:
        return f"{override}: {line}; a value with special characters needs inner quotes: 'KEY=\"VALUE\"'"
    if overrides and not any(key_of(word) in line for word in overrides):
        return f"{' '.join(overrides)}: {line}"
    return line


def key_of(override: str) -> str:
    """Return the key of an override; empty if it has none.

    Example:
        >>> key_of("+optimizer@other=adam")
        'optimizer'
    """
    return override.lstrip("+~").partition("=")[0].partition("@")[0].strip()


def _join(text: str) -> str:
    return " ".join(text.split())


def refused_elsewhere(error: Exception) -> InputError | None:
    """Return the `InputError` that a run raised in a submitit job; None for any other error.

    submitit reports the exception of a job only as the text of a traceback, so this function searches the text.
    """
    if type(error).__module__.partition(".")[0] != "submitit":
        return None
    found = re.findall(r"^lookcast\.checks\.\w+: (.*)$", str(error), re.MULTILINE)
    return InputError(found[-1]) if found else None
