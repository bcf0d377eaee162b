"""Options that several commands share, and the types of their values."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

SEGMENTERS = ("scenes", "clusters", "torchvision", "transformers")
"""Values of `--auto-masks`. They are copied from the keys of `segmenters.SEGMENTERS`, whose import takes seconds."""


def path(text: str) -> Path:
    """Convert an argument to a path; refuse an empty argument, which would mean the current folder."""
    return Path(word(text))


def word(text: str) -> str:
    """Return an argument unchanged; refuse an empty argument."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; is a shell variable unset?")
    return text


def count(text: str) -> int:
    """Convert an argument to a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def steps(text: str) -> int:
    """Convert an argument to a number of steps; 0 is allowed."""
    return 0 if text == "0" else count(text)


def weights(text: str) -> list[float]:
    """Convert numbers separated by commas to a list; the library checks the range of the numbers."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers separated by commas, such as 2,1, got {text!r}") from None


def add_look(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a look: a checkpoint, and style photos for a universal checkpoint."""
    parser.add_argument(
        "--style",
        action="append",
        type=path,
        default=[],
        metavar="PHOTO",
        help="photo with the look; repeat the option to mix several looks",
    )
    parser.add_argument("--weights", type=weights, metavar="W,W", help="shares of several --style photos, such as 2,1")
    parser.add_argument(
        "--checkpoint",
        type=word,
        metavar="FILE",
        help=".safetensors file, or the name of a shipped checkpoint (default: universal_free)",
    )


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Add the option `--max-pixels`, the limit of a photo's size."""
    parser.add_argument(
        "--max-pixels",
        type=count,
        default=200_000_000,
        metavar="N",
        help="refuse photos whose header claims more pixels (default: 200000000)",
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the option `--overwrite`, which allows overwriting input files."""
    parser.add_argument("--overwrite", action="store_true", help="allow overwriting an input file")


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add the option `--precision` of the prediction."""
    parser.add_argument(
        "--precision",
        choices=("auto", "float32"),
        default="auto",
        help="float32: equal within 1 of 255 on all machines; auto (default): faster, less exact by 0.1 of 255",
    )


def parse_intermixed(
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    positional: str,
    convert: Callable[[str], Path | str] = path,
    unless: str | None = None,
) -> argparse.Namespace:
    """Parse options and positional arguments in any order; after `--`, every argument is positional.

    `parse_intermixed_args` of argparse does not support `--` (github.com/python/cpython/issues/59317).

    Args:
        parser: parser with one positional argument of `nargs="*"`.
        argv: the arguments of the command line.
        positional: name of the positional argument.
        convert: function that converts the text of one positional argument to its value.
        unless: name of the flag that makes the positional argument optional.
    """
    end = list(argv).index("--") if "--" in argv else len(argv)
    args = parser.parse_intermixed_args(argv[:end])
    values = [*getattr(args, positional), *(convert(text) for text in argv[end + 1 :])]
    if not values and not (unless and getattr(args, unless)):
        parser.error(f"the following arguments are required: {positional.upper().removesuffix('S')}")
    setattr(args, positional, values)
    return args
