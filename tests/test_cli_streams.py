"""Standard output and error of the command line: any file name, and outputs that take nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.looks import save_look
from tests.photo_files import save_photo

COMMAND = [sys.executable, "-m", "lookcast.cli"]


@pytest.fixture
def words(tmp_path):
    """A command that stylizes `a.png` in `tmp_path`."""
    save_photo(tmp_path / "a.png")
    checkpoint = save_look(tmp_path / "look.safetensors")
    return [*COMMAND, "stylize", "a.png", "--checkpoint", str(checkpoint), "-o", "out.png", "--device", "cpu"]


class TestNames:
    @pytest.mark.parametrize(
        ("name", "encoding", "printed"),
        [
            (b"\xff\xfe.png", "utf-8:strict", b"\xff\xfe.png"),  # bytes that are no text pass as they are
            ("\u00e9\u4e2d.png".encode(), "ascii:strict", b"\\xe9\\u4e2d.png"),  # no such characters: escapes
            pytest.param(b"two\nlines.png", "utf-8", b"two\nlines.png", marks=pytest.mark.nightly),
        ],
    )
    def test_any_name_is_printed(self, tmp_path, words, name, encoding, printed):
        (tmp_path / os.fsdecode(name)).write_bytes((tmp_path / "a.png").read_bytes())
        argv = [name if word == "a.png" else b"out" if word == "out.png" else word.encode() for word in words]
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        result = subprocess.run(argv, cwd=tmp_path, capture_output=True, env=env)
        assert (result.returncode, result.stderr, result.stdout) == (0, b"", b"out/" + printed + b"\n")
        assert (tmp_path / "out" / os.fsdecode(name)).exists()

    def test_a_skipped_one_too(self, tmp_path, words):
        (tmp_path / os.fsdecode(b"\xff.png")).write_text("no photo")
        argv = [part for word in words for part in ([b"a.png", b"\xff.png"] if word == "a.png" else [word.encode()])]
        env = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
        result = subprocess.run([*argv[:-3], b"out", *argv[-2:]], cwd=tmp_path, capture_output=True, env=env)
        assert result.returncode == 1
        assert result.stderr == b"lookcast: skipped: \xff.png: not a photo, or of an unknown format\n"


class TestFullOutput:
    @pytest.mark.parametrize(
        ("argv", "unbuffered"),
        [
            (None, ""),
            (["--version"], "1"),
            pytest.param(None, "1", marks=pytest.mark.nightly),
            pytest.param(["--help"], "", marks=pytest.mark.nightly),
            pytest.param(["--version"], "", marks=pytest.mark.nightly),
        ],
    )
    def test_one_line(self, tmp_path, words, argv, unbuffered):
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        command = words if argv is None else [*COMMAND, *argv]
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, env=env)
        assert result.returncode == 2
        assert result.stderr == b"lookcast: error: standard output: can't be written (No space left on device)\n"
        assert (tmp_path / "out.png").exists() == (argv is None)

    def test_closed_pipe(self, tmp_path, words):
        end, start = os.pipe()
        os.close(end)
        result = subprocess.run(words, cwd=tmp_path, stdout=start, stderr=subprocess.PIPE)
        os.close(start)
        assert result.returncode == 2
        assert result.stderr == b"lookcast: error: standard output: can't be written (Broken pipe)\n"
