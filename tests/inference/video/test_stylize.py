"""Stylizing of clips from file to file."""

import subprocess
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
import pytest
from tests.clips import read_clip, reencode, save_clip
from tests.looks import look

from lookcast.inference.jobs import Job
from lookcast.inference.stylizer import Stylizer
from lookcast.inference.video.encoder import EncoderOptions
from lookcast.inference.video.stylize import ClipSettings, stylize_clip

PLAIN = ClipSettings(strength=0)
OFF = ClipSettings(steady="off")


@pytest.fixture
def stylizer():
    return Stylizer(look(), {}, "cpu")


@pytest.fixture
def run(stylizer, tmp_path):
    def stylize(clip, settings, name=None):
        target = tmp_path / "out" / (name or clip.name)
        assert stylize_clip(stylizer, Job(clip, target), settings) is None
        return read_clip(target)

    return stylize


CODECS = [
    ("a.mp4", "libx264", "yuv420p"),
    ("a.mkv", "libx264", "yuv444p"),
    ("a.mp4", "libx265", "yuv420p10le"),
    ("a.mov", "prores_ks", "yuv422p10le"),
    ("a.webm", "libvpx-vp9", "yuv420p"),
    ("a.mp4", "libsvtav1", "yuv420p10le"),
    ("a.mkv", "ffv1", "yuv422p"),
]


class TestStrengthZero:
    @pytest.mark.parametrize(("name", "codec", "pixel_format"), CODECS)
    def test_pixels_equal_decoding_and_encoding_alone(self, run, tmp_path, name, codec, pixel_format):
        clip = save_clip(tmp_path / name, codec=codec, pixel_format=pixel_format)
        settings, options = PLAIN, {}
        if codec == "libx264":  # lossless, because x264 gives slightly different frames now and then
            settings, options = PLAIN._replace(encoding=EncoderOptions(crf=0)), {"crf": "0"}
        output, plain = run(clip, settings), reencode(clip, codec, options)
        assert len(output.frames) == len(plain.frames) == 12
        for ours, theirs in zip(output.frames, plain.frames, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                assert np.array_equal(a, b)

    @pytest.mark.parametrize(("name", "codec", "pixel_format"), CODECS)
    def test_everything_else_is_kept(self, run, tmp_path, name, codec, pixel_format):
        chapters = [
            {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}},
            {"id": 2, "start": 200, "end": 480, "time_base": Fraction(1, 1000), "metadata": {"title": "two"}},
        ]
        given = {"title": "a title", "comment": "no comment"}
        clip = save_clip(
            tmp_path / name,
            codec=codec,
            pixel_format=pixel_format,
            metadata=given,
            chapters=chapters,
            tags=(1, 5, 5, 6),
        )
        before, after = read_clip(clip), run(clip, PLAIN)
        assert after.packets == before.packets
        assert len(before.packets[1]) > 20
        assert after.times == before.times
        # FFmpeg's muxer of Matroska writes a duration that differs by half a block of AAC. Its own copy has it too.
        expected = before.properties | {"whole_duration": copied_by_ffmpeg(clip).properties["whole_duration"]}
        assert comparable(after.properties) == comparable(expected)


def comparable(properties):
    """Properties without those that every encoder and every muxer writes for itself."""
    own = {"encoder", "ENCODER", "DURATION"}
    metadata = {key: value for key, value in properties["metadata"].items() if key not in own}
    streams = [
        (kind, name, {key: value for key, value in tags.items() if key not in own})
        for kind, name, tags in properties["streams"]
    ]
    return {**properties, "metadata": metadata, "streams": streams}


def copied_by_ffmpeg(clip):
    target = clip.with_name(f"copy_{clip.name}")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        clip,
        "-map",
        "0",
        "-map",
        "-0:d",
        "-c",
        "copy",
        target,
    ]
    subprocess.run(command, check=True)
    return read_clip(target)
