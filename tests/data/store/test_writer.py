import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from lookcast import cli
from lookcast.checks import InputError
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store import writer
from lookcast.data.store.index import INDEX
from lookcast.data.store.unfinished import JOURNAL
from lookcast.data.store.writer import make_shards
from lookcast.photos.read import read_srgb
from tests.runs import break_photo
from tests.shard_sets import save_folder, save_striped_masks


@pytest.fixture
def photos(tmp_path):
    return save_folder(tmp_path / "photos")


@pytest.fixture
def run(capsys):
    def shard(*arguments):
        code = cli.main(["shard", "--jobs", "1", *map(str, arguments)])
        return code, *capsys.readouterr()

    return shard


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestCommand:
    def test_known_value(self, tmp_path, photos, run):
        code, out, err = run(photos, "-o", tmp_path / "shards")
        size = sum(path.stat().st_size for path in (tmp_path / "shards").iterdir())
        said = f"7 of 7 photos in {tmp_path / 'shards'}: 1 shard, {size / 1e6:.1f} MB, {size / 7:.0f} bytes a photo\n"
        assert (code, out, err) == (0, said, "")
        assert sorted(contents(tmp_path / "shards")) == ["000000.tar", INDEX]

    def test_options(self, tmp_path, photos, run):
        masks = save_striped_masks(tmp_path / "masks", photos)
        arguments = ("--masks", masks, "--shortest", 32, "--format", "jpg", "--quality", 80, "--shard-mb", 1)
        assert run(photos, "-o", tmp_path / "shards", *arguments)[0] == 0
        source = PhotoShards(tmp_path / "shards")
        description = source.header.description
        assert (description.format, description.quality, description.min_side, description.masks) == (
            "jpg",
            80,
            32,
            True,
        )
        assert min(source.read(0).pixels.shape[:2]) == 32
        assert source.read(0).labels.shape == source.read(0).pixels.shape[:2]

    def test_photos_that_cant_be_read_are_left_out(self, tmp_path, photos, run):
        break_photo(photos / "b.jpg")
        (photos / "a text.png").write_text("no photo")
        Image.new("RGB", (15, 90)).save(photos / "narrow.png")
        code, out, err = run(photos, "-o", tmp_path / "shards", "--shortest", 20)
        assert (code, out.split(" photos")[0]) == (1, "6 of 9")
        lines = err.splitlines()
        assert [line.split(": ")[:3] for line in lines] == [
            ["lookcast", "left out", str(photos / name)] for name in ("a text.png", "b.jpg", "narrow.png")
        ]
        assert lines[2].endswith("15x90 pixels, too small to train on")
        source = PhotoShards(tmp_path / "shards")
        assert [source.name(number) for number in range(6)][1:4] == ["a photo.png", "c.jpg", "deep/two\nlines.png"]
        assert np.array_equal(source.read(2).pixels, read_srgb(photos / "c.jpg", min_side=20))

    def test_again(self, tmp_path, photos, run):
        break_photo(photos / "b.jpg")
        first = run(photos, "-o", tmp_path / "shards")
        before = contents(tmp_path / "shards")
        again = run(photos, "-o", tmp_path / "shards")
        assert (first[:2], again[2]) == (again[:2], "")
        assert contents(tmp_path / "shards") == before

    def test_masks_that_do_not_fit_are_left_out(self, tmp_path, photos, run):
        masks = save_striped_masks(tmp_path / "masks", photos)
        (masks / "b.png").unlink()
        Image.new("RGB", (40, 40)).save(masks / "z.png")
        code, out, err = run(photos, "-o", tmp_path / "shards", "--masks", masks)
        assert (code, out[:6]) == (1, "5 of 7")
        assert f"left out: {photos / 'b.jpg'}: has no mask {masks / 'b.png'}\n" in err
        assert f"left out: {photos / 'z.webp'}: {masks / 'z.png'}: is 40x40 pixels, its photo" in err

    def test_photos_with_a_photo_as_mask_are_left_out(self, tmp_path, photos, run):
        masks = save_striped_masks(tmp_path / "masks", photos)
        (masks / "b.png").write_bytes((photos / "a photo.png").read_bytes())
        (photos / "b.jpg").unlink()
        shutil.copy(photos / "a photo.png", photos / "b.png")
        code, out, err = run(photos, "-o", tmp_path / "shards", "--masks", masks)
        assert (code, out[:6]) == (1, "6 of 7")
        assert err.startswith(f"lookcast: left out: {masks / 'b.png'}: ")
        assert "far from each of the nine colours" in err

    def test_pipes_are_left_out(self, tmp_path, photos, run):
        masks = save_striped_masks(tmp_path / "masks", photos)
        (masks / "b.png").unlink()
        os.mkfifo(masks / "b.png")
        os.mkfifo(photos / "pipe.jpg")
        code, out, err = run(photos, "-o", tmp_path / "shards", "--masks", masks)
        assert (code, out[:6]) == (1, "6 of 7")
        assert err == f"lookcast: left out: {photos / 'b.jpg'}: has no mask {masks / 'b.png'}\n"

    def test_masks_inside_the_folder_of_photos(self, tmp_path, photos, run):
        save_striped_masks(photos / "masks", photos)
        code, out, _ = run(photos, "-o", tmp_path / "shards", "--masks", photos / "masks")
        assert (code, out[:6]) == (0, "7 of 7")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--format", "bmp"), "format: expected 'npy', 'jpg' or 'png', got 'bmp'"),
            (("--quality", 0), "quality: expected at least 1, got 0"),
            (("--shortest", 3), "min_side: expected at least 16, got 3"),
            (("--shard-mb", 0), "shard_mb: expected at least 1, got 0"),
            (("--shard-mb", 10**9), "shard_mb: expected at most 1048576, got 1000000000"),
            (("--quality", 101), "quality: expected at most 100, got 101"),
            (("--jobs", 10**6), "jobs: expected at most 256, got 1000000"),
            (("--masks", "x" * 300), f"masks: {'x' * 300}: can't be read (File name too long)"),
            (("-o", "x" * 300), f"out: {'x' * 300}: can't be read (File name too long)"),
            (("--jobs", 0), "jobs: expected at least 1, got 0"),
            (("--masks", "nothing"), "masks: nothing is not a folder"),
            (
                ("-o", "s3://bucket"),
                "out: s3:/bucket is a URL; write the shards to a folder, and copy this folder to the URL",
            ),
        ],
    )
    def test_rejects(self, tmp_path, photos, run, arguments, message):
        code, out, err = run(photos, "-o", tmp_path / "shards", *arguments)
        assert (code, out, err) == (2, "", f"lookcast: error: {message}\n")
        assert not (tmp_path / "shards").exists()

    @pytest.mark.parametrize(
        "arguments", [("", "-o", "out"), ("photos", "-o", ""), ("photos", "-o", "out", "--masks", "")]
    )
    def test_rejects_empty_words(self, tmp_path, monkeypatch, capsys, arguments):
        # An unset variable would stand for the current folder.
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as error:
            cli.main(["shard", *arguments])
        assert error.value.code == 2
        assert "is empty; is a shell variable unset?" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_rejects_no_photos(self, tmp_path, run):
        (tmp_path / "empty").mkdir()
        assert "photos: no photo in" in run(tmp_path / "empty", "-o", tmp_path / "shards")[2]
        assert "nothing is not a folder" in run(tmp_path / "nothing", "-o", tmp_path / "shards")[2]
        (tmp_path / "empty" / "text.png").write_text("no photo")
        code, _, err = run(tmp_path / "empty", "-o", tmp_path / "shards")
        assert code == 2
        assert err.splitlines()[-1].startswith(
            "lookcast: error: photos: none of the 1 photos can be read; first error: "
        )
        assert not list((tmp_path / "shards").glob("*.tar"))

    def test_rejects_photos_that_share_a_mask(self, tmp_path, photos, run):
        masks = save_striped_masks(tmp_path / "masks", photos)
        shutil.copy(photos / "b.jpg", photos / "deep" / "b.jpg")
        code, _, err = run(photos, "-o", tmp_path / "shards", "--masks", masks)
        assert code == 2
        assert f"masks: {photos / 'b.jpg'} and {photos / 'deep' / 'b.jpg'} would share {masks / 'b.png'}" in err


class TestOut:
    """Contents of the output folder that are accepted or refused."""

    def test_rejects_a_folder_of_something_else(self, tmp_path, photos, run):
        before = sorted(photos.iterdir())
        code, _, err = run(photos, "-o", photos)
        assert (code, err) == (
            2,
            f"lookcast: error: out: {photos} is not empty and holds no shards; name another folder\n",
        )
        assert sorted(photos.iterdir()) == before

    def test_rejects_a_foreign_file_of_the_name_of_its_journal(self, tmp_path, photos, run):
        mine = tmp_path / "out" / JOURNAL
        mine.parent.mkdir(parents=True)
        mine.write_text("B minor")
        assert run(photos, "-o", tmp_path / "out")[0] == 2
        assert mine.read_text() == "B minor"

    def test_rejects_a_file(self, tmp_path, photos, run):
        assert "is a file, expected a folder" in run(photos, "-o", photos / "b.jpg")[2]

    def test_rejects_shards_with_other_options(self, tmp_path, photos, run):
        run(photos, "-o", tmp_path / "shards")
        code, _, message = run(photos, "-o", tmp_path / "shards", "--shortest", 40)
        assert code == 2
        assert "holds shards that were made with min_side 512, now 40; delete this folder or name another" in message

    def test_rejects_shards_of_other_photos(self, tmp_path, photos, run):
        run(photos, "-o", tmp_path / "shards")
        (photos / "b.jpg").unlink()
        assert "made with other photos in the folder" in run(photos, "-o", tmp_path / "shards")[2]


class TestInterrupted:
    """After a kill at any moment the same command resumes, to the bytes of an uninterrupted run."""

    @pytest.fixture
    def many(self, tmp_path):
        """Photos for about ten shards, one of them broken."""
        photos = save_folder(tmp_path / "many", tuple(f"{number:02d}.png" for number in range(12)))
        for number in range(12, 40):
            shutil.copy(photos / f"{number % 12:02d}.png", photos / f"{number:02d}.png")
        break_photo(photos / "07.png")
        return photos

    @pytest.fixture(autouse=True)
    def small_shards(self, monkeypatch):
        monkeypatch.setattr(writer, "_MIB", 100_000)

    @staticmethod
    def make_alone(many, out, options):
        """Make shards in a process group of its own."""
        os.setsid()
        # Forked processes share tqdm's lock. If one is killed while it holds the lock, the others wait for ever.
        tqdm.set_lock(threading.RLock())
        replace = Path.replace

        def slowly(path, target):
            time.sleep(0.05)  # on a busy machine, the process could else end before the test kills it
            return replace(path, target)

        Path.replace = slowly
        make_shards(many, out, **options)

    def test_killed(self, tmp_path, many):
        """A real kill -9 at arbitrary moments."""
        options = {"min_side": 64, "shard_mb": 1, "jobs": 1}
        make_shards(many, tmp_path / "straight", **options)
        straight = contents(tmp_path / "straight")
        assert len(straight) > 8
        out = tmp_path / "shards"
        for number in (0, 2, 5):  # as soon as that shard exists, or its temporary file
            child = multiprocessing.get_context("fork").Process(target=self.make_alone, args=(many, out, options))
            child.start()
            deadline = time.monotonic() + 60
            while not list(out.glob(f"*{number:06d}*.tar")):
                assert time.monotonic() < deadline
                assert child.is_alive()
                time.sleep(0.001)
            os.killpg(child.pid, signal.SIGKILL)
            child.join()
            assert not (out / INDEX).exists()
            with pytest.raises(InputError, match="run the same command again to resume"):
                PhotoShards(out)
        kept = {path.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*.tar")}
        assert make_shards(many, out, **options).description.left_out == 1
        assert contents(out) == straight
        finished = sorted(kept)[:2]
        assert [(out / name).stat().st_mtime_ns for name in finished] == [kept[name] for name in finished]

    @pytest.mark.parametrize("moment", range(15))
    def test_stopped_before_any_file_is_renamed(self, tmp_path, many, monkeypatch, moment):
        """The process ends just before it renames the journal, a tar or the index."""
        options = {"min_side": 64, "shard_mb": 1, "jobs": 1}
        make_shards(many, tmp_path / "straight", **options)
        count = iter(range(1000))
        replace = Path.replace

        def stop(path, target):
            if next(count) == moment:
                raise KeyboardInterrupt
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", stop)
            try:
                make_shards(many, tmp_path / "shards", **options)
            except KeyboardInterrupt:
                assert not (tmp_path / "shards" / INDEX).exists()
        make_shards(many, tmp_path / "shards", **options)
        assert contents(tmp_path / "shards") == contents(tmp_path / "straight")

    def test_writes_a_truncated_shard_again(self, tmp_path, many, monkeypatch):
        options = {"min_side": 64, "shard_mb": 1, "jobs": 1}

        def stop(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(writer, "write_index", stop)
            with pytest.raises(KeyboardInterrupt):
                make_shards(many, tmp_path / "shards", **options)
        os.truncate(tmp_path / "shards" / "000003.tar", 512)
        make_shards(many, tmp_path / "shards", **options)
        make_shards(many, tmp_path / "straight", **options)
        assert contents(tmp_path / "shards") == contents(tmp_path / "straight")

    @pytest.mark.parametrize("kept", [0.2, 0.5, 0.97])
    def test_a_truncated_journal(self, tmp_path, many, monkeypatch, kept):
        options = {"min_side": 64, "shard_mb": 1, "jobs": 1}

        def stop(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(writer, "write_index", stop)
            with pytest.raises(KeyboardInterrupt):
                make_shards(many, tmp_path / "shards", **options)
        journal = tmp_path / "shards" / JOURNAL
        os.truncate(journal, int(journal.stat().st_size * kept))
        make_shards(many, tmp_path / "shards", **options)
        make_shards(many, tmp_path / "straight", **options)
        assert contents(tmp_path / "shards") == contents(tmp_path / "straight")

    def test_full_disk(self, tmp_path, many, monkeypatch):
        def full(start, encoded, members):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(writer, "record", full)
            with pytest.raises(InputError, match=r"000000\.tar: can't be written \(No space left on device\)$"):
                make_shards(many, tmp_path / "shards", jobs=1)
        assert [path.name for path in (tmp_path / "shards").iterdir()] == [JOURNAL]

    @pytest.mark.slow
    def test_interrupt_in_a_shell(self, tmp_path, many):
        """Ctrl-C reaches all processes of the terminal: one line, and no process remains."""
        command = [sys.executable, "-m", "lookcast.cli", "shard", str(many), "-o", str(tmp_path / "shards")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        # After the first photo: torch prints more if it is interrupted while it starts workers.
        while not list((tmp_path / "shards").glob(".0*.tar")):
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.splitlines()[-1] == "lookcast: interrupted"
        with suppress(ProcessLookupError):
            for _ in range(1000):  # on Python 3.14, the resource tracker ends a moment after the command
                os.killpg(process.pid, 0)
                time.sleep(0.01)
            pytest.fail("processes remain ten seconds after the command")
