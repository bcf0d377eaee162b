"""Clips in `lookcast stylize`."""

import os
import signal
import subprocess
import sys
import time

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from lookcast import cli
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.read import read_photo
from tests.clips import read_clip, save_clip
from tests.looks import assert_same_levels, look, save_look, save_universal
from tests.photo_files import save_photo
from tests.runs import BLUE, GREEN, save_mask

SHORT = ["--preset", "ultrafast"]
NAMES = ("chelsea", "astronaut", "coffee")


@pytest.fixture
def checkpoint(tmp_path):
    return save_look(tmp_path / "look.safetensors")


@pytest.fixture
def run(capsys, checkpoint):
    """`lookcast stylize` in this process: exit code, stdout, stderr."""

    def stylize(*arguments, steady=True):
        options = ["--steady", "off"] if steady else []
        words = ["--checkpoint", checkpoint, "--device", "cpu", *options, *arguments]
        code = cli.main(["stylize", *map(str, words)])
        return code, *capsys.readouterr()

    return stylize


class TestClips:
    def test_one_clip(self, run, tmp_path):
        clip, target = save_clip(tmp_path / "a.mp4"), tmp_path / "out.mp4"
        assert run(clip, "-o", target, *SHORT) == (0, f"{target}\n", "")
        before, after = read_clip(clip), read_clip(target)
        assert after.packets == before.packets
        assert np.abs(after.frames[3][0].astype(float) - before.frames[3][0]).mean() > 5

    def test_without_out_a_clip_gets_a_new_name(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.mkv", 2, codec="ffv1", sound=False)
        (tmp_path / "a_look.mkv").write_bytes(b"mine")
        assert run(clip, "--strength", "0") == (0, f"{tmp_path / 'a_look-2.mkv'}\n", "")
        assert len(read_clip(tmp_path / "a_look-2.mkv").frames) == 2
        assert (tmp_path / "a_look.mkv").read_bytes() == b"mine"

    def test_clips_and_a_folder_of_clips_and_photos(self, run, tmp_path):
        folder = tmp_path / "in"
        folder.mkdir()
        clips = [save_clip(folder / name, 4) for name in ("a.mp4", "b.mkv")]
        photo = save_photo(folder / "c.png")
        other = save_clip(tmp_path / "d.mov", 4)
        options = [*SHORT, "--strength", "0"]
        code, out, err = run(folder, other, "-o", tmp_path / "out", *options, steady=False)
        assert (code, err) == (0, "")
        assert out == f"{tmp_path / 'out' / photo.name}\n3 of 3 clips written to {tmp_path / 'out'}\n"
        for clip in (*clips, other):
            assert len(read_clip(tmp_path / "out" / clip.name).frames) == 4
        assert read_photo(tmp_path / "out" / photo.name).pixels.shape == (64, 96, 3)

    @pytest.mark.parametrize("codec", ["h265", "av1"])
    def test_encoders_print_nothing(self, checkpoint, tmp_path, codec):
        clip, target = save_clip(tmp_path / "a.mp4", 2), tmp_path / "out.mp4"
        words = [sys.executable, "-m", "lookcast.cli", "stylize", clip, "--checkpoint", checkpoint]
        words += ["--strength", "0", "--codec", codec, "-o", target]
        environment = {**os.environ, "MALLOC_PERTURB_": "1"}  # shows where an encoder reads memory that it has not set
        result = subprocess.run([*map(str, words)], env=environment, capture_output=True, text=True)
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{target}\n", "")

    def test_resume_and_share(self, run, tmp_path):
        clips = [save_clip(tmp_path / f"{name}.mkv", 2, codec="ffv1", sound=False) for name in "abc"]
        out = tmp_path / "out"
        assert run(*clips, "-o", out, "--share", "0/2")[1] == f"2 of 2 clips written to {out} (part 0 of 2)\n"
        assert sorted(path.name for path in out.iterdir()) == ["a.mkv", "c.mkv"]
        assert run(*clips, "-o", out, "--resume")[1] == f"1 of 3 clips written to {out}, 2 were there already\n"
        assert sorted(path.name for path in out.iterdir()) == ["a.mkv", "b.mkv", "c.mkv"]

    def test_a_clip_that_fails_is_skipped(self, run, tmp_path):
        clips = [save_clip(tmp_path / "a.mp4", 4), tmp_path / "b.mp4"]
        clips[1].write_text("no clip")
        code, out, err = run(*clips, "-o", tmp_path / "out", *SHORT)
        assert code == 1
        assert out == f"1 of 2 clips written to {tmp_path / 'out'}\n"
        assert err.startswith(f"lookcast: skipped: {clips[1]}: is no clip, or is cut")
        assert err.count("\n") == 1

    def test_a_damaged_clip_is_reported(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.mkv", 40, codec="ffv1")
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        code, out, err = run(clip, "-o", tmp_path / "out.mkv")
        assert (code, out) == (1, f"{tmp_path / 'out.mkv'}\n")
        assert err.startswith(f"lookcast: {clip}: is cut or damaged")
        assert len(read_clip(tmp_path / "out.mkv").frames) > 10

    def test_masks_of_a_still_camera_and_of_each_frame(self, capsys, tmp_path):
        universal = save_universal(tmp_path / "universal.safetensors")
        clip = save_clip(tmp_path / "a.mkv", 3, (64, 96), "ffv1", "yuv444p", sound=False)
        style = save_photo(tmp_path / "style.png")
        still = save_mask(tmp_path / "still.png", (96, 64))
        style_mask = save_mask(tmp_path / "style_mask.png", (96, 64))
        for number in range(3):
            save_mask(tmp_path / "each" / f"{number}.png", (96, 64), *((BLUE, GREEN) if number < 2 else (GREEN, BLUE)))
        outputs = []
        for masks in (still, tmp_path / "each"):
            argv = ["stylize", clip, "--checkpoint", universal, "--style", style, "--style-mask", style_mask]
            argv += ["--content-mask", masks, "--steady", "off", "--device", "cpu", "-o", tmp_path / "out.mkv"]
            assert cli.main([*map(str, argv)]) == 0
            outputs.append(read_clip(tmp_path / "out.mkv").frames)
        capsys.readouterr()
        for number in range(3):
            same = all(np.array_equal(a, b) for a, b in zip(outputs[0][number], outputs[1][number], strict=True))
            assert same == (number < 2)


class TestRefuses:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--refine", "5"], "--refine: only for photos, and {clip} is a clip"),
            (["-o", "out.jpg"], "out.jpg: is named like a photo; a clip needs the name of a clip, or a folder"),
            (["--rate", "0"], None),
            (["--codec", "nonsense"], "--codec: no encoder named nonsense"),
        ],
    )
    def test_options(self, run, tmp_path, monkeypatch, options, reason):
        monkeypatch.chdir(tmp_path)
        clip = save_clip(tmp_path / "a.mp4", 2)
        out = [] if "-o" in options else ["-o", "out.mp4"]
        if reason is None:
            with pytest.raises(SystemExit) as caught:
                run(clip, *out, *options)
            assert caught.value.code == 2
            return
        code, _, err = run(clip, *out, *options)
        assert code == 2
        assert err.startswith(f"lookcast: error: {reason.format(clip=clip)}")
        assert err.count("\n") == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "look.safetensors"]

    def test_options_of_clips_without_clips(self, run, tmp_path):
        photo = save_photo(tmp_path / "a.png")
        code, _, err = run(photo, "-o", tmp_path / "out.png", "--crf", "20", steady=False)
        assert (code, err) == (2, "lookcast: error: --crf: only for clips, and there are none\n")

    def test_an_input_is_not_written_over(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.mp4", 2)
        before = clip.read_bytes()
        code, _, err = run(clip, "-o", clip)
        assert code == 2
        assert err.startswith(f"lookcast: error: {clip}: is one of the photos to read")
        assert clip.read_bytes() == before

    def test_the_part_after_an_interruption_does_not_replace_an_input(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.part.mp4", 2)
        code, _, err = run(clip, "-o", tmp_path / "a.mp4")
        assert code == 2
        assert err.startswith(f"lookcast: error: {clip}: is one of the photos to read")

    @pytest.mark.parametrize("source", ["clip", "folder", "pattern"])
    def test_frames_do_not_replace_inputs(self, run, tmp_path, source):
        frames = tmp_path / "frames"
        frames.mkdir()
        photos = [save_photo(frames / f"{n}.png", name) for n, name in zip((2, 3, 4), NAMES, strict=True)]
        before = [photo.read_bytes() for photo in photos]
        given, options = {
            "clip": (save_clip(tmp_path / "a.mp4", 2), ["--style", photos[0]]),
            "folder": (frames, []),
            "pattern": (frames / "%d.png", []),
        }[source]
        code, _, err = run(given, *options, "-o", frames / "%d.png")
        assert code == 2
        target = frames / "%d.png"
        refusal = f"lookcast: error: {target}: a frame could replace {photos[0]}, which is read; give another folder\n"
        assert err == refusal
        if source != "clip":  # the frames are safe with --overwrite too
            code, _, err = run(given, "-o", target, "--overwrite")
            assert (code, err) == (2, refusal)
        assert [photo.read_bytes() for photo in photos] == before
        # Other names in the same folder replace nothing.
        assert run(given, "-o", frames / "new_%d.png")[0] == 0


class TestSequences:
    def test_a_name_with_another_percent_sign(self, run, tmp_path):
        photos = [save_photo(tmp_path / f"100% {n}.png", name) for n, name in zip((1, 2), NAMES[:2], strict=True)]
        assert run(tmp_path / "100% %d.png", "-o", tmp_path / "out" / "50%_%d.png")[0] == 0
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["50%_1.png", "50%_2.png"]
        assert all(photo.exists() for photo in photos)

    def test_a_pattern_gives_the_look_of_each_photo(self, run, tmp_path):
        photos = [save_photo(tmp_path / f"in_{n:03d}.png", name) for n, name in zip((3, 4, 10), NAMES, strict=True)]
        code, _, err = run(tmp_path / "in_%03d.png", "-o", tmp_path / "out" / "%02d.png")
        assert (code, err) == (0, "")
        written = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert written == ["03.png", "04.png", "10.png"]
        for photo, name in zip(photos, written, strict=True):
            expected = Stylizer(look(), {}, "cpu").stylize(read_photo(photo).pixels)
            assert_same_levels(Image.open(tmp_path / "out" / name), expected)

    def test_strength_0_keeps_every_pixel(self, run, tmp_path):
        photos = [save_photo(tmp_path / f"in_{number}.png", NAMES[number]) for number in (1, 2)]
        assert run(tmp_path / "in_%d.png", "-o", tmp_path / "out" / "%d.png", "--strength", "0")[0] == 0
        for number, photo in enumerate(photos, 1):
            assert np.array_equal(read_photo(tmp_path / "out" / f"{number}.png").pixels, read_photo(photo).pixels)

    def test_a_folder_of_frames_becomes_a_clip(self, run, tmp_path):
        for number in range(5):
            save_photo(tmp_path / "in" / f"{number}.png", NAMES[number % 3])
        code, _, err = run(tmp_path / "in", "-o", tmp_path / "out.mp4", "--rate", "30000/1001", "--crf", "1")
        assert (code, err) == (0, "")
        clip = read_clip(tmp_path / "out.mp4")
        assert len(clip.frames) == 5
        assert float(clip.times[1] - clip.times[0]) == pytest.approx(1001 / 30000)
        assert clip.properties["tags"] == (1, 1, 1, 1)

    def test_a_clip_becomes_a_sequence_upright(self, run, tmp_path):
        clip = save_clip(tmp_path / "a.mov", 3, (48, 64), rotation=90)
        assert run(clip, "-o", tmp_path / "out" / "%04d.png")[0] == 0
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.png", "0002.png", "0003.png"]
        assert read_photo(tmp_path / "out" / "0001.png").pixels.shape == (64, 48, 3)

    def test_frames_of_different_sizes_are_refused(self, run, tmp_path):
        Image.open(save_photo(tmp_path / "1.png")).rotate(90, expand=True).save(tmp_path / "2.png")
        code, _, err = run(tmp_path / "%d.png", "-o", tmp_path / "out.mp4")
        assert code == 2
        assert err.startswith(f"lookcast: error: {tmp_path / '2.png'}: is 64x96, the first frame 96x64")
        assert not (tmp_path / "out.mp4").exists()

    def test_no_files(self, run, tmp_path):
        code, _, err = run(tmp_path / "%d.png", "-o", tmp_path / "out.mp4")
        assert (code, err) == (2, f"lookcast: error: {tmp_path / '%d.png'}: no files of this pattern\n")


@pytest.fixture
def long_clip(tmp_path):
    """A clip of 40 seconds with sound, whose stylizing takes many seconds."""
    clip = tmp_path / "long.mp4"
    pictures, sound = "testsrc2=size=320x180:rate=25:duration=40", "sine=frequency=440:duration=40"
    inputs = ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, "-preset", "ultrafast", clip]
    subprocess.run(command, check=True)
    return clip


class TestInterrupted:
    @pytest.fixture
    def start(self, checkpoint):
        started = []

        def run(*arguments):
            words = [sys.executable, "-m", "lookcast.cli", "stylize", "--checkpoint", checkpoint, "--device", "cpu"]
            words += ["--steady", "off", *arguments]
            process = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            started.append(process)
            return process

        yield run
        for process in started:
            process.kill()
            process.communicate()

    def wait_for_frames(self, process, folder):
        """Wait until a temporary file has some data."""
        for _ in range(6000):
            assert process.poll() is None, process.communicate()
            if any(path.stat().st_size > 100_000 for path in folder.glob(".out*")):
                return
            time.sleep(0.05)
        pytest.fail("no frame was written within five minutes")

    def test_ctrl_c_leaves_a_playable_part(self, start, tmp_path, long_clip):
        folder = tmp_path / "folder"
        process = start(long_clip, "-o", folder / "out.mp4", "--crf", "5")
        self.wait_for_frames(process, folder)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130
        assert err.endswith("lookcast: interrupted\n")
        assert [path.name for path in folder.iterdir()] == ["out.part.mp4"]
        part = read_clip(folder / "out.part.mp4")
        assert f"has the first {len(part.frames)} frames" in err
        assert 10 < len(part.frames) < 1000
        assert [float(t) for t in part.times] == pytest.approx([number / 25 for number in range(len(part.frames))])
        assert len(part.packets[1]) > 10

    def test_a_killed_run_leaves_no_file_that_looks_finished(self, start, run, tmp_path, long_clip):
        folder = tmp_path / "folder"
        process = start(long_clip, "-o", folder / "out.mp4", "--crf", "5")
        self.wait_for_frames(process, folder)
        process.kill()
        process.communicate()
        assert all(path.name.startswith(".") for path in folder.iterdir())
        short = save_clip(tmp_path / "short.mp4", 4)
        assert run(short, "-o", folder / "out.mp4")[0] == 0
        assert [path.name for path in folder.iterdir()] == ["out.mp4"]  # the next run has removed the rest

    @pytest.mark.parametrize("name", ["out.mp4", pytest.param("out.mkv", marks=pytest.mark.nightly)])
    def test_a_full_disk_leaves_a_playable_part(self, tmp_path, checkpoint, long_clip, name):
        disk, kept = tmp_path / "disk", tmp_path / "kept"
        disk.mkdir()
        kept.mkdir()
        mount = f"mount -t tmpfs -o size=14m tmpfs {disk}"
        if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
            pytest.skip("needs the right to mount a small file system")
        words = [sys.executable, "-m", "lookcast.cli", "stylize", long_clip, "--checkpoint", checkpoint]
        words += ["--device", "cpu", "--steady", "off", "--crf", "1", "--preset", "ultrafast", "-o", disk / name]
        script = f'{mount} && "$@"; code=$?; cp {disk}/* {kept}; exit $code'
        command = ["unshare", "-rm", "sh", "-c", script, "sh", *map(str, words)]
        result = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=900)
        assert result.returncode == 2
        assert "can't be written (No space left on device)" in result.stderr
        part = name.replace("out", "out.part")
        assert [path.name for path in kept.iterdir()] == [part]
        frames = read_clip(kept / part).frames
        assert 20 < len(frames) < 1000
        assert f"{part}: has the first " in result.stderr
