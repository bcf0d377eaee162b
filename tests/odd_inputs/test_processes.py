"""Files that claim huge sizes, and hidden warnings, in a real process with a limit of its address space."""

import subprocess
import sys

import pytest

from tests.looks import save_look
from tests.odd_inputs import photos

GIGABYTES = 8
"""Limit of the address space. torch alone maps some gigabytes."""
PROGRAM = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({GIGABYTES} << 30, {GIGABYTES} << 30))
from lookcast import cli
look, *photos = sys.argv[1:]
for number, photo in enumerate(photos):
    code = cli.main(["stylize", photo, "-o", f"{{photo}}.out.png", "--checkpoint", look, "--device", "cpu"])
    print("code", code)
"""
CLAIMS = ("claim", "64 bits", "99 channels", "30000")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of the address space")
def test_claims_take_no_memory(tmp_path):
    """Without `--max-pixels`: the default limit must do."""
    chosen = [(name, make) for name, make in photos.refused() if any(word in name for word in CLAIMS)]
    chosen = [(name, make) for name, make in chosen if "2400" not in name and "3000)" not in name]
    paths = []
    for number, (_, make) in enumerate(chosen):
        paths.append(tmp_path / f"{number:02d}.jpg")
        make(paths[-1])
    good = tmp_path / "good.jpg"
    good.write_bytes(photos.encoded("JPEG", exif=photos.exif(6)[:40]))
    look = save_look(tmp_path / "look.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, look, *paths, good], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0
    codes = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("code ")]
    assert codes == ["2"] * len(paths) + ["0"]
    assert len(paths) > 15
    lines = done.stderr.splitlines()
    assert len(lines) == len(paths) + 1, done.stderr  # one line for each file, and one about the EXIF of the last
    for path, line in zip([*paths, good], lines, strict=True):
        assert line.startswith(f"lookcast: {'' if path == good else 'error: '}{path}: ")
