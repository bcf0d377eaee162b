"""The command line. Nothing heavy is imported before a command is chosen, so that `--help` comes at once."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lookcast.cli.evaluate import evaluate
from lookcast.cli.export import export
from lookcast.cli.shard import shard
from lookcast.cli.stylize import stylize
from lookcast.cli.train import train


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        help: one line.
        run: takes the arguments behind the command's name, untouched; returns the exit code.
    """

    help: str
    run: Callable[[list[str]], int]


COMMANDS = {
    "train": Command("train a look; takes Hydra overrides, see `lookcast train --help`", train),
    "shard": Command("put a folder of photos into shards, to train on faster", shard),
    "stylize": Command("give photos the look of a checkpoint", stylize),
    "evaluate": Command("score a checkpoint on content and style pairs", evaluate),
    "export": Command("write a look for other programs: ONNX, compiled, .cube", export),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: what stands behind `lookcast`; None takes it from the shell.

    Returns:
        0; 1 when some photos or pairs of many failed; 2 for bad input, with one line on stderr; 130 when interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # Only the first word is parsed here: what follows belongs to the command, options included.
    command = COMMANDS[_parser().parse_args(argv[:1]).command]
    try:
        return command.run(argv[1:])
    except KeyboardInterrupt:
        print("lookcast: interrupted", file=sys.stderr)
        return 130
    except ValueError as error:
        from lookcast.checks import InputError  # here, because it brings torch along

        if not isinstance(error, InputError):
            raise
        print(f"lookcast: error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<10}{command.help}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="lookcast",
        usage="lookcast COMMAND ...",
        description="Give any photo the look of another, and keep it a photo.",
        epilog=f"commands:\n{commands}\n\n`lookcast COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from lookcast import __version__

        print(f"lookcast {__version__}")
        parser.exit()
