"""Run a command in this process, and check what every refusal and every success must fulfil."""

import resource
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from lookcast import cli
from lookcast.inference.stylizer import Stylizer
from tests.looks import look, save_look, save_universal
from tests.odd_inputs.photos import IMAGE

SECONDS = 30
"""Most CPU time of a command. On a busy machine, wall time says little."""
MEGABYTES = 400
"""Most memory by which a command may raise the peak of a process that has already stylized a photo."""


class Result(NamedTuple):
    """What a command did: its exit code, and the lines on standard error and of the log."""

    code: int
    errors: list[str]
    log: list[str]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save_universal(folder / "universal.safetensors")
    save_look(folder / "look.safetensors")
    Stylizer(look(), {}, "cpu").stylize(IMAGE)  # compiles the kernel
    return folder


@pytest.fixture
def place(tmp_path, checkpoints, monkeypatch):
    """The current folder of a command, with the files that `arguments` describes."""
    for name in ("universal", "look"):
        (tmp_path / f"{name}.safetensors").symlink_to(checkpoints / f"{name}.safetensors")
    for name in ("a.jpg", "b.jpg", "folder/c.jpg", "photos/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        IMAGE.save(tmp_path / name)
    for name in ("empty", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "text").write_text("no photo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(place, capsysbinary, caplog):
    """Run a command. Its outputs belong in the folder `out`, which is empty after a refusal."""

    def run(*words):
        before, start = contents(place), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as left:
            code = left.code
        assert time.process_time() - start < SECONDS
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024 < MEGABYTES
        errors = capsysbinary.readouterr().err.decode("utf-8", "surrogateescape").splitlines()
        assert contents(place) == before  # no input is changed, and nothing is left beside the inputs
        if code == 2:
            assert not list((place / "out").iterdir())
        return Result(code, errors, [r.getMessage() for r in caplog.records if r.name.startswith("lookcast")])

    return run


def contents(folder: Path):
    """The regular files in a folder and their bytes, without the folder `out`."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "out")
    return {path: path.read_bytes() for path in files if path.stat().st_size < 1e6}
