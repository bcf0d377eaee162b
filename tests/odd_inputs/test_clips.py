"""Odd clips and sequences of images: a whole clip, or one line that names the clip."""

import os
from pathlib import Path

import pytest

from tests.clips import read_clip, save_clip

SMALL = (16, 24)


def cut(path, share):
    save_clip(path, 6, SMALL)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


READABLE = {
    "of one frame": lambda path: save_clip(path, 1, SMALL),
    "without sound": lambda path: save_clip(path, 3, SMALL, sound=False),
    "turned": lambda path: save_clip(path, 3, SMALL, rotation=90),
    "of 2 x 2 pixels": lambda path: save_clip(path, 3, (2, 2), sound=False),
    "of 10 bits": lambda path: save_clip(path, 3, SMALL, pixel_format="yuv420p10le"),
    "of irregular times": lambda path: save_clip(path, 3, SMALL, times=[0, 50, 51]),
}
REFUSED = {
    "empty": Path.touch,
    "of no frames": lambda path: save_clip(path, 0, SMALL, sound=False),
    "cut at its start": lambda path: cut(path, 0.02),
    "cut in the middle": lambda path: cut(path, 0.5),  # the table of frames is at the end
    "a text": lambda path: path.write_text("no clip"),
    "zeros": lambda path: path.write_bytes(bytes(9999)),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "missing": lambda path: None,
}
OPTIONS = ("-o", "out/o.mp4", "--device", "cpu", "--checkpoint", "look.safetensors")


@pytest.mark.parametrize("name", READABLE)
def test_stylized(run, place, name):
    READABLE[name](place / "clip.mp4")
    result = run("stylize", "clip.mp4", *OPTIONS)
    assert result.code == 0
    before, after = read_clip(place / "clip.mp4"), read_clip(place / "out" / "o.mp4")
    assert len(after.frames) == len(before.frames)
    assert after.times == before.times
    assert [file.name for file in (place / "out").iterdir()] == ["o.mp4"]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(run, place, name):
    REFUSED[name](place / "clip.mp4")
    result = run("stylize", "clip.mp4", *OPTIONS)
    assert result.code == 2
    assert len(result.errors) == 1
    assert result.errors[0].startswith("lookcast: error: clip.mp4: ")
