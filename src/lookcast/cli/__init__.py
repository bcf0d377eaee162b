# PYTHON_ARGCOMPLETE_OK
"""The command line. Heavy modules are imported only when a command runs, so that `--help` answers at once."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lookcast.cli.doctor import build_parser as doctor_parser
from lookcast.cli.doctor import doctor
from lookcast.cli.evaluate import build_parser as evaluate_parser
from lookcast.cli.evaluate import evaluate
from lookcast.cli.explain import build_parser as explain_parser
from lookcast.cli.explain import explain
from lookcast.cli.export import build_parser as export_parser
from lookcast.cli.export import export
from lookcast.cli.fit import build_parser as fit_parser
from lookcast.cli.fit import fit
from lookcast.cli.match import build_parser as match_parser
from lookcast.cli.match import match
from lookcast.cli.shard import build_parser as shard_parser
from lookcast.cli.shard import shard
from lookcast.cli.streams import flush_stdout, prepare_streams, say
from lookcast.cli.stylize import build_parser as stylize_parser
from lookcast.cli.stylize import stylize
from lookcast.cli.train import train
from lookcast.cli.web import build_parser as web_parser
from lookcast.cli.web import web


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        help: one line of help.
        run: function that takes the arguments after the command's name, and returns the exit code.
        build_parser: function that returns the parser of the arguments, for completion in the shell; None if the
            command has no such parser.
    """

    help: str
    run: Callable[[list[str]], int]
    build_parser: Callable[[], argparse.ArgumentParser] | None = None


COMMANDS = {
    "train": Command("train a look; takes Hydra overrides, see `lookcast train --help`", train),
    "shard": Command("put a folder of photos into shards, to train on faster", shard, shard_parser),
    "stylize": Command("give photos the look of a style photo or of a checkpoint", stylize, stylize_parser),
    "fit": Command("give one photo the look of another by optimisation, in seconds", fit, fit_parser),
    "evaluate": Command("score a checkpoint on content and style pairs", evaluate, evaluate_parser),
    "explain": Command("write a page that shows how a photo got its look", explain, explain_parser),
    "export": Command("write a look for other programs: ONNX, compiled, .cube, HaldCLUT", export, export_parser),
    "match": Command("find the colour table that makes one photo of another", match, match_parser),
    "doctor": Command("check this installation, and say how to report a bug", doctor, doctor_parser),
    "web": Command("serve a page to play with looks in the browser", web, web_parser),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the command-line arguments after `lookcast`; None means `sys.argv[1:]`.

    Returns:
        The exit code: 0 for success; 1 if some photos or pairs failed; 2 for invalid input, with one line on stderr;
        130 after an interruption.
    """
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions
        from lookcast.cli.completion import complete

        complete(COMMANDS, _parser())
    argv = list(sys.argv[1:] if argv is None else argv)
    prepare_streams()
    code = 2
    try:
        # Only the first argument is parsed here. The command parses all other arguments, options included.
        command = COMMANDS[_parser().parse_args(argv[:1]).command]
        code = command.run(argv[1:])
    except KeyboardInterrupt:
        print("lookcast: interrupted", file=sys.stderr)
        code = 130
    except SystemExit:  # argparse has printed a help or an error
        if (reason := flush_stdout()) is None:
            raise
        return _refuse(f"standard output: can't be written ({reason})")
    except ValueError as error:
        from lookcast.checks import InputError  # here, because it imports torch

        if not isinstance(error, InputError):
            raise
        return _refuse(str(error))
    reason = flush_stdout()
    return code if reason is None else _refuse(f"standard output: can't be written ({reason})")


def _refuse(reason: str) -> int:
    print(f"lookcast: error: {' '.join(reason.splitlines())}", file=sys.stderr)
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
    """Print the version. The package's metadata is read only if `--version` is given."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from lookcast import __version__

        say(f"lookcast {__version__}")
        parser.exit()
