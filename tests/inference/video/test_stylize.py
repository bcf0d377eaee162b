"""Stylizing of clips from file to file."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from lookcast.checks import InputError
from lookcast.inference.jobs import Job
from lookcast.inference.stylizer import Stylizer
from lookcast.inference.video.clip import ClipOptions
from lookcast.inference.video.clip_writer import ClipWriter
from lookcast.inference.video.encoder import EncoderOptions
from lookcast.inference.video.frames import ClipError
from lookcast.inference.video.stylize import ClipSettings, stylize_clip
from tests.clips import read_clip, reencode, save_clip
from tests.looks import look

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

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these policies")
    def test_av1_does_not_change_the_scheduling(self, run, tmp_path, monkeypatch):
        """SVT-AV1 would make the threads of a process of root real-time threads."""
        clip, policies, finish = save_clip(tmp_path / "a.mp4", codec="libsvtav1"), set(), ClipWriter.finish

        def observed(writer):  # the encoder is still open
            threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
            policies.update(map(os.sched_getscheduler, threads))
            finish(writer)

        monkeypatch.setattr(ClipWriter, "finish", observed)
        run(clip, PLAIN)
        assert policies == {os.sched_getscheduler(0)} == {os.SCHED_OTHER}

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


class TestStylizedPixels:
    """Frames against the photo stylizer's result for the R'G'B' of FFmpeg's own converter."""

    @pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv444p10le", "bgr0", "gbrp10le"])
    def test_equal_the_look_of_the_photo(self, run, stylizer, tmp_path, pixel_format):
        clip = save_clip(tmp_path / "a.mkv", 3, (96, 128), "ffv1", pixel_format)
        output = run(clip, OFF)
        for before, after in zip(rgb_of(clip), rgb_of(tmp_path / "out" / "a.mkv"), strict=True):
            expected = stylizer.stylize(before)
            error = np.abs(after.astype(float) - expected) / 257
            # Rounding to 8-bit codes: at most half a code of luma (.6 levels) and of chroma (1.8 x .57 = 1 level), on
            # average half of that.
            assert error.mean() < 0.8
            assert np.abs(before.astype(float) - after).mean() / 257 > 10
        assert output.properties["format"] == pixel_format

    def test_10_bits_stay_10_bits(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.mkv", 3, codec="ffv1", pixel_format="yuv444p10le")
        output = run(clip, OFF)
        assert output.properties["format"] == "yuv444p10le"
        luma = output.frames[0][0]
        assert len(np.unique(luma % 4)) == 4  # the two lowest bits are in use
        assert 64 <= luma.min() <= luma.max() <= 940

    @pytest.mark.parametrize("rotation", [90, 180, -90])
    def test_rotated_clips_get_the_grid_of_the_upright_frame(self, run, stylizer, tmp_path, rotation):
        clip = save_clip(tmp_path / "a.mkv", 2, (96, 128), "ffv1", "yuv444p", rotation=rotation)
        output = run(clip, OFF)
        assert (output.properties["rotation"] - rotation) % 360 == 0
        turns = rotation // 90
        for before, after in zip(rgb_of(clip), rgb_of(tmp_path / "out" / "a.mkv"), strict=True):
            expected = np.rot90(stylizer.stylize(np.ascontiguousarray(np.rot90(before, turns))), -turns)
            assert (np.abs(after.astype(float) - expected) / 257).mean() < 0.8  # rounding, as above


class TestKept:
    def test_variable_frame_rate(self, run, tmp_path):
        times = [0, 24, 30, 90, 100, 101, 300, 301, 302, 330]
        clip = save_clip(tmp_path / "a.mp4", len(times), times=times)
        output = run(clip, OFF)
        assert output.times == read_clip(clip).times == [Fraction(time, 600) for time in times]
        assert output.packets == read_clip(clip).packets

    def test_subtitles(self, run, tmp_path):
        text = tmp_path / "a.srt"
        text.write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n\n2\n00:00:00,320 --> 00:00:00,400\nAgain\n")
        clip, video = tmp_path / "a.mkv", save_clip(tmp_path / "video.mkv")
        ffmpeg("-i", video, "-i", text, "-c", "copy", "-c:s", "srt", "-metadata:s:s:0", "language=ger", clip)
        before, after = read_clip(clip), run(clip, OFF)
        assert after.packets == before.packets
        assert [packet for _, packet in after.packets[2]] == [b"Hello", b"Again"]
        assert after.properties["streams"][2][2]["language"] == "ger"

    def test_the_codec_can_be_another(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.mp4")
        output = run(clip, OFF._replace(encoding=EncoderOptions("h265", 20, "ultrafast")))
        assert output.properties["codec"] == "hevc"
        assert output.properties["tags"] == (1, 1, 1, 1)
        assert output.packets == read_clip(clip).packets

    @pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
    @pytest.mark.parametrize("count", [1, 2])
    def test_few_frames(self, run, tmp_path, count, codec):
        """x265 gives them random decoding times, so that most files could not be written."""
        clip = save_clip(tmp_path / "a.mp4", count)
        output = run(clip, OFF._replace(encoding=EncoderOptions(codec)))
        assert output.times == [Fraction(number, 25) for number in range(count)]
        assert output.packets == read_clip(clip).packets
        with av.open(str(tmp_path / "out" / "a.mp4")) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [packet.dts for packet in packets] == [packet.pts for packet in packets]

    def test_a_lower_crf_gives_a_larger_file(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.mp4", size=(96, 128), sound=False)
        run(clip, OFF._replace(encoding=EncoderOptions(crf=15)), "fine.mp4")
        run(clip, OFF._replace(encoding=EncoderOptions(crf=40)), "coarse.mp4")
        sizes = [(tmp_path / "out" / name).stat().st_size for name in ("fine.mp4", "coarse.mp4")]
        assert sizes[0] > 2 * sizes[1]


class TestDamaged:
    def test_what_can_be_read_of_a_cut_file_is_kept(self, stylizer, tmp_path):
        whole = save_clip(tmp_path / "whole.mkv", 40, codec="ffv1")
        clip, target = tmp_path / "cut.mkv", tmp_path / "out.mkv"
        clip.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        damage = stylize_clip(stylizer, Job(clip, target), PLAIN)
        assert "cut or damaged" in damage
        output = read_clip(target)
        assert 10 < len(output.frames) < 30
        assert all(np.array_equal(a, b) for a, b in zip(output.frames[5], read_clip(whole).frames[5], strict=True))

    def test_a_cut_mp4_with_its_index_at_the_front(self, stylizer, tmp_path):
        whole, clip, target = save_clip(tmp_path / "whole.mp4", 40), tmp_path / "cut.mp4", tmp_path / "out.mp4"
        front = tmp_path / "front.mp4"
        ffmpeg("-i", whole, "-c", "copy", "-movflags", "+faststart", front)
        clip.write_bytes(front.read_bytes()[: front.stat().st_size * 2 // 3])
        damage = stylize_clip(stylizer, Job(clip, target), PLAIN)
        assert "cut or damaged" in damage
        assert 5 < len(read_clip(target).frames) < 40

    def test_a_file_cut_before_its_index_is_refused(self, stylizer, tmp_path):
        clip = save_clip(tmp_path / "a.mp4")
        clip.write_bytes(clip.read_bytes()[:-3000])
        with pytest.raises(ClipError, match=r"a\.mp4: is no clip, or is cut"):
            stylize_clip(stylizer, Job(clip, tmp_path / "out.mp4"), PLAIN)
        assert not (tmp_path / "out.mp4").exists()


class TestRefused:
    def test_no_video_stream(self, stylizer, tmp_path):
        clip = tmp_path / "a.mp4"
        ffmpeg("-i", save_clip(tmp_path / "b.mp4"), "-vn", "-c", "copy", clip)
        refuses(stylizer, clip, tmp_path / "out.mp4", PLAIN, "has no video stream")

    def test_no_frames(self, stylizer, tmp_path):
        clip = save_clip(tmp_path / "a.mp4", 0, sound=False)
        refuses(stylizer, clip, tmp_path / "out.mp4", PLAIN, "has no frame|has no video stream")

    def test_a_text_file(self, stylizer, tmp_path):
        clip = tmp_path / "a.mp4"
        clip.write_text("no clip")
        refuses(stylizer, clip, tmp_path / "out.mp4", PLAIN, "is no clip, or is cut")

    def test_a_size_that_changes(self, stylizer, tmp_path):
        clips = [save_clip(tmp_path / f"{i}.ts", 4, size, sound=False) for i, size in enumerate([(48, 64), (96, 64)])]
        clip = tmp_path / "a.ts"
        clip.write_bytes(b"".join(path.read_bytes() for path in clips))
        refuses(stylizer, clip, tmp_path / "out.ts", OFF, "frame 4 is 64x96 yuv420p, the first 64x48 yuv420p")

    def test_a_huge_size_is_refused_before_a_frame_is_decoded(self, stylizer, tmp_path):
        clip = save_clip(tmp_path / "a.mp4")
        settings = PLAIN._replace(reading=ClipOptions(max_pixels=3000))
        refuses(stylizer, clip, tmp_path / "out.mp4", settings, "claims 64x48 pixels, more than the limit of 3000")

    def test_a_container_that_cannot_hold_the_codec(self, stylizer, tmp_path):
        clip = save_clip(tmp_path / "a.mp4", sound=False)
        refuses(stylizer, clip, tmp_path / "out.webm", PLAIN, r"out\.webm: a file of the kind webm can't hold")

    def test_a_container_that_cannot_hold_the_sound(self, stylizer, tmp_path):
        clip = save_clip(tmp_path / "a.mp4")
        settings = PLAIN._replace(encoding=EncoderOptions("vp9"))
        refuses(stylizer, clip, tmp_path / "out.webm", settings, r"can't hold audio stream 1 \(aac\)")

    def test_an_odd_size_for_h264(self, stylizer, tmp_path):
        clip = save_clip(tmp_path / "a.mkv", size=(49, 63), codec="ffv1")
        settings = PLAIN._replace(encoding=EncoderOptions("h264"))
        refuses(stylizer, clip, tmp_path / "out.mkv", settings, "libx264 needs an even width and height")

    @pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
    def test_high_dynamic_range(self, stylizer, tmp_path, transfer, name):
        tags = (1, 9, 9, transfer)
        clip = save_clip(tmp_path / "a.mp4", codec="libx265", pixel_format="yuv420p10le", tags=tags)
        refuses(stylizer, clip, tmp_path / "out.mp4", OFF, rf"a\.mp4: has a high dynamic range \({name}\)")

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (EncoderOptions("nonsense"), "--codec: no encoder named nonsense"),
            (EncoderOptions("aac"), "--codec: aac encodes audio"),
            (EncoderOptions(crf=70), "--crf: expected 0 to 51 for libx264, got 70"),
            (EncoderOptions("prores", crf=20), "--crf: prores_ks has no constant rate factor"),
            (EncoderOptions("ffv1", preset="slow"), "--preset: ffv1 has no presets"),
            (EncoderOptions(preset="sluggish"), "--codec: libx264 refuses 64x48 yuv420p with preset sluggish"),
        ],
    )
    def test_settings_of_the_encoder(self, stylizer, tmp_path, options, reason):
        clip = save_clip(tmp_path / "a.mkv")
        refuses(stylizer, clip, tmp_path / "out.mkv", PLAIN._replace(encoding=options), reason)

    def test_fewer_bits(self, stylizer, tmp_path):
        clip = save_clip(tmp_path / "a.mkv", codec="ffv1", pixel_format="yuv420p10le")
        settings = PLAIN._replace(encoding=EncoderOptions("mpeg4"))
        refuses(stylizer, clip, tmp_path / "out.mkv", settings, "mpeg4 can't keep the 10 bits")

    def test_interlaced(self, stylizer, tmp_path):
        clip = tmp_path / "a.mkv"
        fields = ["-vf", "setfield=tff", "-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "tff=1"]
        ffmpeg("-i", save_clip(tmp_path / "b.mkv", size=(96, 128), sound=False), *fields, clip)
        refuses(stylizer, clip, tmp_path / "out.mkv", OFF, "is interlaced; --deinterlace")
        settings = OFF._replace(reading=ClipOptions(deinterlace=True))
        assert stylize_clip(stylizer, Job(clip, tmp_path / "out.mkv"), settings) is None
        output = read_clip(tmp_path / "out.mkv")
        assert output.times == read_clip(clip).times


def refuses(stylizer, clip, target, settings, reason):
    """One line, and no file."""
    with pytest.raises(InputError, match=reason) as caught:
        stylize_clip(stylizer, Job(clip, target), settings)
    assert "\n" not in str(caught.value)
    assert not list(target.parent.glob("*out*"))


def ffmpeg(*arguments):
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *map(str, arguments)], check=True)


def rgb_of(path):
    """R'G'B' of the frames, uint16, by FFmpeg's converter."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb48le", src_colorspace=1, interpolation="BILINEAR") for frame in frames]
