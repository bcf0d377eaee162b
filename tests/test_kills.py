"""Runs of `lookcast stylize` that are killed at random moments."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.looks import save_look
from tests.photo_files import save_photo

SCRIPT = Path(__file__).parents[1] / "scripts" / "kill_and_resume.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signals")
@pytest.mark.parametrize(("seed", "kills"), [(0, 1), pytest.param(1, 3, marks=pytest.mark.nightly)])
def test_every_photo_is_written_once(tmp_path, seed, kills):
    look = save_look(tmp_path / "look.safetensors")
    argv = ["--photos", "20", "--kills", str(kills), "--seed", str(seed), "--checkpoint", str(look), "--device", "cpu"]
    result = subprocess.run([sys.executable, str(SCRIPT), *argv], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(
        rf"20 photos written once each in \d+ s, {kills} kills, \d+ temporary .*, none at the end\n", result.stdout
    )


# A Ctrl-C arrives while numpy is imported.
INTERRUPTED = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy.linalg":
            sys.meta_path.remove(self)
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from lookcast.cli import main
sys.exit(main(["stylize", *sys.argv[1:]]))
"""


def test_interrupted_in_the_imports(tmp_path):
    """`import torch` hides a KeyboardInterrupt that numpy's import raises, and goes on with half of numpy."""
    photo = save_photo(tmp_path / "photo.png")
    command = [sys.executable, "-c", INTERRUPTED, str(photo), "--style", str(photo), "-o", str(tmp_path / "out.png")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "lookcast: interrupted\n")
