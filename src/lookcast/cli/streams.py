"""Standard output and error: any file name can be printed, and a full disk is one line."""

import codecs
import os
import sys

_HANDLER = "lookcast.names"


def prepare_streams() -> None:
    """Let standard output and error print every file name.

    Bytes that are not UTF-8 go out as they are, so that another program finds the file. A character that the encoding
    lacks becomes an escape.
    """
    codecs.register_error(_HANDLER, _escape)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def set_up_logging() -> None:
    """Send warnings to standard error, one line each.

    libvips reports damage without the file's name; lookcast reports it with the name.
    """
    import logging

    logging.basicConfig(format="lookcast: %(message)s")
    logging.getLogger("pyvips").setLevel(logging.ERROR)


def say(line: str) -> None:
    """Print a line to standard output at once.

    Raises:
        InputError: it can't be written, such as to a full disk or a closed pipe.
    """
    try:
        print(line, flush=True)
    except OSError as error:
        close_stdout()
        from lookcast.checks import InputError  # here, because it imports torch

        raise InputError(f"standard output: can't be written ({error.strerror})") from error


def flush_stdout() -> str | None:
    """Flush standard output; return the reason if this fails, or None."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        close_stdout()
        return error.strerror
    return None


def close_stdout() -> None:
    """Discard the rest of the output; otherwise the interpreter would try to write it again when it exits."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)
