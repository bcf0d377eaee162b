"""Words on the command line that are no valid options, settings or paths are refused by name."""

import logging
import sys

import pytest

from tests.odd_inputs.arguments import COMMANDS

CASES = [(command, *case) for command, cases in COMMANDS.items() for case in cases]


@pytest.mark.parametrize(("command", "words", "named"), CASES, ids=[" ".join((c, *w))[:80] for c, w, _ in CASES])
def test_refused(run, monkeypatch, command, words, named):
    monkeypatch.setattr(sys, "argv", ["lookcast"])  # `train` hands its words to Hydra in this list
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))  # Hydra adds a file of the run
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    own = ("--checkpoint", "look.safetensors") if command == "stylize" and "--checkpoint" not in words else ()
    result = run(*(word for word in (command,) if word), *own, *words)
    assert result.code == 2
    line = result.errors[-1]
    assert ": error: " in line
    assert named in line
    # argparse prints the usage first.
    assert all(other.startswith(("usage: ", " ")) for other in result.errors[:-1])
