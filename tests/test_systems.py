"""The parts of lookcast that depend on the operating system."""

import subprocess
import sys

import pytest

# What Python lacks on Windows, of all that lookcast or its tests name.
WITHOUT_POSIX = """
import os, signal, sys
import torch, pytorch_lightning, hydra, wandb, psutil, submitit  # made for this system
for module, names in (
    (os, "fork pread sched_getaffinity geteuid getpgid killpg mkfifo register_at_fork waitid WNOWAIT"),
    (signal, "SIGUSR1 SIGKILL SIGALRM SIGHUP SIGSTOP SIGCONT alarm"),
):
    for name in names.split():
        delattr(module, name)
for name in ("resource", "fcntl", "pwd", "grp", "termios", "pty"):
    sys.modules[name] = None
"""
IMPORT_ALL = """
import importlib, pkgutil, lookcast
for module in pkgutil.walk_packages(lookcast.__path__, "lookcast."):
    # PyPI has no Triton for Windows.
    if not module.name.startswith(("lookcast.ops.bilateral.triton", "lookcast.cli.__main__")):
        importlib.import_module(module.name)
"""
STYLIZE = """
from lookcast.cli import main
sys.exit(main(["stylize", *sys.argv[1:]]))
"""


@pytest.mark.slow
class TestWithoutPosix:
    def run(self, code, *arguments):
        command = [sys.executable, "-c", WITHOUT_POSIX + code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    @pytest.mark.nightly
    def test_every_module_is_imported(self):
        result = self.run(IMPORT_ALL)
        assert result.returncode == 0, result.stderr

    @pytest.mark.nightly
    def test_stylize(self, tmp_path):
        from tests.looks import save_look
        from tests.photo_files import save_photo

        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(2)]
        look = save_look(tmp_path / "look.safetensors")
        result = self.run(STYLIZE, *photos, "--checkpoint", look, "-o", tmp_path / "out", "--device", "cpu")
        assert (result.returncode, result.stdout) == (0, f"2 of 2 photos written to {tmp_path / 'out'}\n"), (
            result.stderr
        )
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png"]
