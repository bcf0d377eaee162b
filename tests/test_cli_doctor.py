import importlib.metadata
import os
import re
import subprocess
import sys

import pytest
import torch

import lookcast
from lookcast import cli
from lookcast.checkpoints import DEFAULT_CHECKPOINT
from lookcast.cli import doctor_checks
from lookcast.ops.bilateral import cpu

ALL = ["versions", "machine", "devices", "kernel", "encoder", "checkpoint", "photos", "extras"]


@pytest.fixture
def run(capsys):
    """`lookcast doctor` in this process: exit code, and (state, line) of each check."""

    def doctor():
        code = cli.main(["doctor"])
        first, *checks, last = capsys.readouterr().out.splitlines()
        assert first.startswith(f"lookcast {lookcast.__version__}, Python 3.")
        assert re.fullmatch(r"to report a bug, .*: https://\S+/issues", last)
        return code, {name: (state, line) for state, name, line in (check.split(maxsplit=2) for check in checks)}

    return doctor


class TestDoctor:
    def test_everything_works_here(self, run):
        code, checks = run()
        assert list(checks) == ALL
        assert {state for state, _ in checks.values()} == {"ok"}
        assert code == 0
        assert re.match(r"cpu: equals the reference to [01] levels", checks["kernel"][1])
        assert f"torch {torch.__version__.split('+')[0]}" in checks["versions"][1]
        assert f"{DEFAULT_CHECKPOINT}.safetensors stylizes in " in checks["checkpoint"][1]

    def test_a_wrong_kernel_is_found(self, run, monkeypatch):
        right = cpu.apply_grid_to_pixels
        monkeypatch.setattr(cpu, "apply_grid_to_pixels", lambda grid, pixels: right(grid.flip(-1), pixels))
        code, checks = run()
        assert code == 1
        assert checks["kernel"][0] == "broken"
        assert re.match(r"on cpu, the kernel differs from the reference by \d+ levels", checks["kernel"][1])
        assert checks["encoder"][0] == "ok"

    def test_a_missing_checkpoint_is_found(self, run, monkeypatch, tmp_path):
        from lookcast import checkpoints

        monkeypatch.setattr(checkpoints, "shipped", lambda folder: tmp_path)
        code, checks = run()
        assert code == 1
        assert checks["checkpoint"] == (
            "broken",
            "CheckpointError: this version of lookcast ships no universal checkpoint: pass the path of a checkpoint",
        )


class TestVersions:
    @pytest.fixture
    def needed(self, monkeypatch):
        def set_requirements(*lines):
            monkeypatch.setattr(importlib.metadata, "requires", lambda name: list(lines))

        return set_requirements

    def test_an_old_or_missing_library_is_found(self, needed):
        needed("numpy>=99", "torch>=2", "no-such-library", "skipped; python_version < '3'", "pytest>=99; extra == 'x'")
        with pytest.raises(doctor_checks.BrokenError) as caught:
            doctor_checks.check_versions()
        numpy = importlib.metadata.version("numpy")
        assert str(caught.value) == (
            f"numpy is {numpy}, expected >=99; no-such-library is not installed: run pip install --upgrade lookcast"
        )

    def test_extras(self, needed, monkeypatch):
        class Described:
            def get_all(self, name):
                return ["tests", "future", "dev"]

        monkeypatch.setattr(importlib.metadata, "metadata", lambda name: Described())
        needed("torch", "pytest>=8; extra == 'tests'", "numpy>=99; extra == 'future'", "nothing; extra == 'dev'")
        assert doctor_checks.check_extras() == (
            "installed: tests; not installed: future (pip install 'lookcast[NAME]')"
        )

    def test_photos_without_the_library_of_heic(self, needed):
        needed("no-such-library; extra == 'heic'")
        assert doctor_checks.check_photo_files() == "reads and writes jpg, jpeg, png, webp, tif, tiff"


class TestBrokenInstallation:
    def test_a_library_that_cannot_be_imported_is_named(self, tmp_path):
        (tmp_path / "torch.py").write_text("raise ImportError('operator torchvision::nms does not exist')")
        paths = [str(tmp_path), *sys.path]
        result = subprocess.run(
            [sys.executable, "-m", "lookcast.cli", "doctor"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
        )
        assert (result.returncode, result.stderr) == (1, "")
        lines = result.stdout.splitlines()
        assert "broken  kernel      ImportError: operator torchvision::nms does not exist" in lines
        assert "broken  devices     ImportError: operator torchvision::nms does not exist" in lines
        assert [line.split()[0] for line in lines if line.split()[1] in ("versions", "extras")] == ["ok", "ok"]
        assert lines[-1].startswith("to report a bug, ")
