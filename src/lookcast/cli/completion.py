"""Completion of commands and options in the shell: `eval "$(register-python-argcomplete lookcast)"`."""

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookcast.cli import Command

_START = "_ARGCOMPLETE"
"""Environment variable that a shell sets to ask for completions: the number of the word that is the program, from 1."""


def complete(commands: "Mapping[str, Command]", parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and exit.

    Args:
        commands: the commands by name.
        parser: the parser that takes the name of a command.
    """
    import argcomplete
    from argcomplete.lexers import split_line

    start = int(os.environ[_START])
    words = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))[3]
    if len(words) > start and words[start] in commands:
        build = commands[words[start]].build_parser
        os.environ[_START] = str(start + 1)  # the command's parser takes the command's name for the program
        parser = argparse.ArgumentParser(add_help=False) if build is None else build()
    argcomplete.autocomplete(parser)
