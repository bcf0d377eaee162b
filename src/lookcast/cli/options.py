"""Options that several commands share, and the types of their values."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path


def path(text: str) -> Path:
    """Return a path; refuse an empty word, which would be the current folder."""
    return Path(word(text))


def word(text: str) -> str:
    """Return a text that is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; is a shell variable unset?")
    return text


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def weights(text: str) -> list[float]:
    """Return numbers separated by commas; the library checks their values."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers separated by commas, such as 2,1, got {text!r}") from None


def add_look(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a look: a checkpoint, and style photos for a universal one."""
    parser.add_argument(
        "--style",
        action="append",
        type=path,
        default=[],
        metavar="PHOTO",
        help="photo with the look; may be repeated: the looks are mixed",
    )
    parser.add_argument("--weights", type=weights, metavar="W,W", help="shares of several --style photos, such as 2,1")
    parser.add_argument(
        "--checkpoint",
        type=word,
        metavar="FILE",
        help=".safetensors file, or the name of a shipped one; default: universal",
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the permission to write over inputs."""
    parser.add_argument("--overwrite", action="store_true", help="allow writing over a file that is read")


def parse_intermixed(
    parser: argparse.ArgumentParser, argv: Sequence[str], positional: str, convert: Callable[[str], Path] = path
) -> argparse.Namespace:
    """Parse options and positional words in any order; after `--`, every word is positional.

    `parse_intermixed_args` alone takes no `--` (github.com/python/cpython/issues/59317).

    Args:
        parser: with one positional argument of `nargs="*"`.
        argv: the words of the command line.
        positional: the name of that argument.
        convert: its type.
    """
    end = list(argv).index("--") if "--" in argv else len(argv)
    args = parser.parse_intermixed_args(argv[:end])
    values = [*getattr(args, positional), *(convert(text) for text in argv[end + 1 :])]
    if not values:
        parser.error(f"the following arguments are required: {positional.upper().removesuffix('S')}")
    setattr(args, positional, values)
    return args
