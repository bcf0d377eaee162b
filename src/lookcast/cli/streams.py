"""Standard output and standard error: print file names with any bytes, and report failed writes in one line."""

import codecs
import os
import sys

_HANDLER = "lookcast.names"


def prepare_streams() -> None:
    """Let standard output and error print every file name.

    Bytes of a file name that are not UTF-8 are written unchanged, so that another program can find the file. A
    character that the encoding of the stream lacks is escaped.
    """
    codecs.register_error(_HANDLER, _escape)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def set_up_logging() -> None:
    """Send warnings to standard error, one line each.

    Messages of libvips and Pillow are hidden, because they report damage without the file's name. lookcast reports the
    damage with the file's name.
    """
    import logging
    import warnings

    logging.basicConfig(format="lookcast: %(message)s")
    logging.getLogger("pyvips").setLevel(logging.ERROR)
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"PIL\.")


def say(line: str) -> None:
    """Print a line to standard output, and flush the output.

    Raises:
        InputError: the line can't be written, for example to a full disk or a closed pipe.
    """
    try:
        print(line, flush=True)
    except OSError as error:
        close_stdout()
        from lookcast.checks import InputError  # here, because it imports torch

        raise InputError(f"standard output: can't be written ({error.strerror})") from error


def flush_stdout() -> str | None:
    """Flush standard output. If the output can't be written, return the reason, otherwise None."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        close_stdout()
        return error.strerror
    return None


def close_stdout() -> None:
    """Redirect standard output to the null device, so that writing the buffered output at exit does not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)
