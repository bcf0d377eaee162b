import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import lookcast
from lookcast import cli
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.read import read_photo
from tests.looks import assert_same_levels, look, save_look
from tests.photo_files import save_photo
from tests.runs import save_mask


@pytest.fixture
def checkpoint(tmp_path):
    return save_look(tmp_path / "look.safetensors")


def shell(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "lookcast.cli", *map(str, arguments)], capture_output=True, text=True, **options
    )


def stylized(path, **options):
    return Stylizer(look(), {}, "cpu").stylize(read_photo(path).pixels, **options)


class TestMain:
    def test_help_comes_within_a_second(self):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            result = shell("--help")
            times.append(time.perf_counter() - start)
        assert result.returncode == 0
        assert all(f"\n  {name} " in result.stdout for name in cli.COMMANDS)
        assert min(times) < 1

    @pytest.mark.parametrize(
        "argv",
        [
            ["--help"],
            ["stylize", "--help"],
            ["evaluate", "--help"],
            ["export", "--help"],
            ["match", "--help"],
            ["shard", "--help"],
        ],
    )
    def test_help_imports_nothing_heavy(self, argv):
        program = (
            "import atexit, sys\nfrom lookcast import cli\n"
            "atexit.register(lambda: print(*({'torch', 'numpy', 'PIL', 'kornia', 'hydra'} & sys.modules.keys()), "
            f"file=sys.stderr))\ncli.main({argv!r})"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "\n")
        assert "usage: lookcast" in result.stdout

    def test_version(self, capsys):
        with pytest.raises(SystemExit) as caught:
            cli.main(["--version"])
        assert caught.value.code == 0
        assert capsys.readouterr().out == f"lookcast {lookcast.__version__}\n"

    @pytest.mark.parametrize("argv", [[], ["styliez"], ["--verbose"]])
    def test_rejects_unknown_command(self, capsys, argv):
        with pytest.raises(SystemExit) as caught:
            cli.main(argv)
        assert caught.value.code == 2
        assert "lookcast: error: " in capsys.readouterr().err

    def test_a_fault_of_lookcast_is_not_hidden(self, monkeypatch):
        def fault(argv):
            raise ValueError("not the user's fault")

        monkeypatch.setitem(cli.COMMANDS, "stylize", cli.Command("", fault))
        with pytest.raises(ValueError, match="not the user's fault"):
            cli.main(["stylize"])

    def test_interrupt(self, monkeypatch, capsys):
        def interrupt(argv):
            raise KeyboardInterrupt

        monkeypatch.setitem(cli.COMMANDS, "stylize", cli.Command("", interrupt))
        assert cli.main(["stylize"]) == 130
        assert capsys.readouterr().err == "lookcast: interrupted\n"


class TestTrain:
    def test_hands_every_argument_on(self, monkeypatch):
        seen = []
        monkeypatch.setitem(cli.COMMANDS, "train", cli.Command("", lambda argv: seen.append(argv) or 7))
        argv = ["-m", "--cfg", "job", "--help", "--", "style=a b.jpg", "--version", "optimizer.lr=1e-3,1e-4", "-o"]
        assert cli.main(["train", *argv]) == 7
        assert seen == [argv]


class TestStylize:
    def test_known_value(self, tmp_path, run):
        photo = save_photo(tmp_path / "photo.png")
        out = tmp_path / "new" / "out.png"
        assert run(photo, "-o", out) == (0, f"{out}\n", "")
        expected = stylized(photo)
        assert np.array_equal(np.asarray(Image.open(out)), expected)
        assert not np.array_equal(expected, read_photo(photo).pixels)

    def test_words_after_two_dashes_are_photos(self, tmp_path, run, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("-dash.png", "--out.png", "a.png"):
            save_photo(tmp_path / name)
        assert run("-o", "out", "--", "-dash.png") == (0, "out/-dash.png\n", "")
        assert run("a.png", "-o", "both", "--", "-dash.png", "--out.png")[0] == 0
        assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["--out.png", "-dash.png", "a.png"]

    def test_lenient(self, tmp_path, run, caplog):
        photo = save_photo(tmp_path / "photo.jpg", quality=95)
        photo.write_bytes(photo.read_bytes()[:-1500])
        code, _, err = run(photo, "-o", tmp_path / "out.png")
        assert (code, err.startswith(f"lookcast: error: {photo}: ")) == (2, True)
        assert not (tmp_path / "out.png").exists()
        assert run(photo, "-o", tmp_path / "out.png", "--lenient")[:2] == (1, f"{tmp_path / 'out.png'}\n")
        assert Image.open(tmp_path / "out.png").size == (96, 64)
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("lookcast")]
        assert [line.startswith(f"{photo}: ") for line in lines] == [True]

    def test_lenient_with_several_photos(self, tmp_path, run, caplog):
        photos = [save_photo(tmp_path / name, quality=95) for name in ("a.jpg", "b.jpg")]
        photos[0].write_bytes(photos[0].read_bytes()[:-1500])
        code, out, _ = run(*photos, "-o", tmp_path / "out", "--lenient")
        assert (code, out) == (1, f"2 of 2 photos written to {tmp_path / 'out'}\n")
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("lookcast")]
        assert [line.startswith(f"{photos[0]}: ") for line in lines] == [True]

    def test_in_a_shell(self, tmp_path, checkpoint):
        photo = save_photo(tmp_path / "ein foto.jpg")
        result = shell("stylize", photo, "--checkpoint", checkpoint, "-o", tmp_path / "out.png")
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{tmp_path / 'out.png'}\n", "")
        assert Image.open(tmp_path / "out.png").size == (96, 64)

    def test_strength(self, tmp_path, run):
        photo = save_photo(tmp_path / "photo.png")
        for strength in (0, 0.5):
            assert run(photo, "-o", tmp_path / "out.png", "--strength", strength)[0] == 0
            assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), stylized(photo, strength=strength))

    def test_keeps_what_belongs_to_the_photo(self, tmp_path, run):
        tags = Image.Exif()
        tags[271], tags[274] = "Lookcam", 6
        photo = save_photo(tmp_path / "photo.jpg", exif=tags.tobytes(), quality=95)
        assert run(photo, "-o", tmp_path / "out.jpg")[0] == 0
        written = Image.open(tmp_path / "out.jpg")
        assert written.size == (64, 96)
        assert dict(written.getexif()) == {271: "Lookcam", 274: 1}

    def test_keeps_alpha(self, tmp_path, run):
        image = Image.open(save_photo(tmp_path / "photo.png"))
        image.putalpha(image.getchannel("R"))
        image.save(tmp_path / "photo.png")
        assert run(tmp_path / "photo.png", "-o", tmp_path / "out.webp")[0] == 0
        assert np.array_equal(Image.open(tmp_path / "out.webp").getchannel("A"), image.getchannel("R"))

    def test_one_photo_into_a_folder(self, tmp_path, run):
        photo = save_photo(tmp_path / "photo.JPG")
        for folder in ("looks", "looks v1.2"):
            out = tmp_path / folder / "photo.JPG"
            assert run(photo, "-o", tmp_path / folder) == (0, f"{out}\n", "")
            assert Image.open(out).size == (96, 64)

    def test_existing_folder_named_like_a_photo(self, tmp_path, run):
        photo = save_photo(tmp_path / "photo.png")
        (tmp_path / "out.png").mkdir()
        assert run(photo, "-o", tmp_path / "out.png")[0] == 0
        assert (tmp_path / "out.png" / "photo.png").is_file()

    def test_several_photos(self, tmp_path, run):
        photos = [save_photo(tmp_path / f"{name}.png", name) for name in ("chelsea", "coffee", "astronaut")]
        code, out, err = run(*photos, "-o", tmp_path / "out")
        assert (code, out, err) == (0, f"3 of 3 photos written to {tmp_path / 'out'}\n", "")
        for photo in photos:
            assert_same_levels(Image.open(tmp_path / "out" / photo.name), stylized(photo))

    def test_folder_of_photos(self, tmp_path, run):
        for name in ("b.png", "a.JPG", "c.webp", "below/d.png"):
            save_photo(tmp_path / "in" / name)
        (tmp_path / "in" / "notes.txt").write_text("no photo")
        code, out, _ = run(tmp_path / "in", "-o", tmp_path / "out")
        assert (code, out) == (0, f"3 of 3 photos written to {tmp_path / 'out'}\n")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.JPG", "b.png", "c.webp"]

    def test_a_bad_photo_of_many_is_skipped(self, tmp_path, run):
        first, last = save_photo(tmp_path / "a.png"), save_photo(tmp_path / "z.png", "coffee")
        (tmp_path / "cut.png").write_bytes(first.read_bytes()[:2000])
        (tmp_path / "notes.txt").write_text("no photo")
        missing = tmp_path / "missing.jpg"
        bad = tmp_path / "cut.png", tmp_path / "notes.txt", missing
        code, out, err = run(first, *bad, last, "-o", tmp_path / "out")
        assert (code, out) == (1, f"2 of 5 photos written to {tmp_path / 'out'}\n")
        assert sorted(line.split(": ")[:3] for line in err.splitlines()) == sorted(
            ["lookcast", "skipped", str(path)] for path in bad
        )
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "z.png"]

    def test_a_format_that_can_be_read_but_not_written_is_skipped(self, tmp_path, run):
        photos = save_photo(tmp_path / "a.bmp"), save_photo(tmp_path / "b.png")
        code, _, err = run(*photos, "-o", tmp_path / "out")
        assert code == 1
        assert "a.bmp: can't write photos of this suffix; known are .jpg" in err
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]

    @pytest.mark.parametrize("count", [1, 3])
    def test_progress_bar_for_several_photos(self, tmp_path, checkpoint, count):
        photos = [save_photo(tmp_path / f"{number}.png") for number in range(count)]
        pty, termios = (pytest.importorskip(name) for name in ("pty", "termios"))  # Windows has no such modules
        terminal, end = pty.openpty()
        termios.tcsetwinsize(end, (24, 100))
        argv = ["stylize", *photos, "--checkpoint", checkpoint, "-o", tmp_path / "out", "--device", "cpu"]
        process = subprocess.run(
            [sys.executable, "-m", "lookcast.cli", *map(str, argv)], stdout=subprocess.PIPE, stderr=end, check=True
        )
        os.write(end, b"END")  # so that reading ends on every system, also when nothing was written
        seen = ""
        while not seen.endswith("END"):
            seen += os.read(terminal, 1000).decode()
        os.close(end)
        os.close(terminal)
        assert process.stdout.decode().count("\n") == 1
        if count == 1:
            assert seen == "END"
        else:
            assert "100%" in seen
            assert "3/3 [00:" in seen
            assert "photo/s" in seen or "s/photo" in seen

    def test_warnings_are_one_line(self, tmp_path, checkpoint):
        Image.open(save_photo(tmp_path / "photo.png")).convert("RGBA").save(tmp_path / "photo.png")
        result = shell("stylize", tmp_path / "photo.png", "--checkpoint", checkpoint, "-o", tmp_path / "out.jpg")
        assert result.returncode == 0
        assert result.stderr == (
            f"lookcast: {tmp_path / 'out.jpg'}: JPEG has no transparency; the alpha channel is left out\n"
        )

    def test_overwrites_an_older_result(self, tmp_path, run):
        photo = save_photo(tmp_path / "photo.png")
        (tmp_path / "out.png").write_bytes(b"older")
        assert run(photo, "-o", tmp_path / "out.png")[0] == 0
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), stylized(photo))

    @pytest.mark.parametrize("way", ["itself", "its folder", "a link", "another photo"])
    def test_overwrites_a_photo_only_when_asked(self, tmp_path, run, way):
        photo = save_photo(tmp_path / "in" / "photo.png")
        before, expected = photo.read_bytes(), stylized(photo)
        arguments = {
            "itself": (photo, "-o", photo),
            "its folder": (photo, "-o", tmp_path / "in"),
            "a link": (photo, "-o", tmp_path / "link.png"),
            "another photo": (save_photo(tmp_path / "other" / "x.png"), photo, "-o", tmp_path / "in"),
        }[way]
        (tmp_path / "link.png").symlink_to(photo)
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("lookcast: error: ")
        assert err.endswith("is one of the photos to read; --overwrite allows writing over it\n")
        assert photo.read_bytes() == before
        assert run(*arguments, "--overwrite")[0] == 0
        written = tmp_path / "link.png" if way == "a link" else photo
        assert np.array_equal(np.asarray(Image.open(written)), expected)


class TestStylizeMany:
    @pytest.fixture
    def photos(self, tmp_path):
        return [save_photo(tmp_path / "in" / f"{i}.png", name) for i, name in enumerate(["chelsea", "coffee"] * 4)]

    def test_resume(self, tmp_path, run, photos):
        out = tmp_path / "out"
        assert run(*photos[:3], "-o", out)[0] == 0
        before = [(out / photo.name).stat().st_mtime_ns for photo in photos[:3]]
        code, said, _ = run(tmp_path / "in", "-o", out, "--resume")
        assert (code, said) == (0, f"5 of 8 photos written to {out}, 3 were there already\n")
        assert [(out / photo.name).stat().st_mtime_ns for photo in photos[:3]] == before
        for photo in photos:
            assert_same_levels(Image.open(out / photo.name), stylized(photo))
        assert (
            run(tmp_path / "in", "-o", out, "--resume")[1] == f"0 of 8 photos written to {out}, 8 were there already\n"
        )

    @pytest.mark.nightly
    def test_kill_and_resume(self, tmp_path, checkpoint):
        names = ["a b.png", "\u00e9t\u00e9.png", "two\nlines.png", *[f"{i}.png" for i in range(60)]]
        photos = [save_photo(tmp_path / "in" / name) for name in names]
        argv = ["stylize", tmp_path / "in", "--checkpoint", checkpoint, "-o", tmp_path / "out", "--jobs", "2"]
        process = subprocess.Popen(
            [sys.executable, "-m", "lookcast.cli", *map(str, argv)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(list((tmp_path / "out").glob("[!.]*"))) < 5:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
        written = list((tmp_path / "out").glob("[!.]*"))
        expected = stylized(photos[0])
        for path in written:
            assert_same_levels(Image.open(path), expected)
        assert len(written) < len(photos)
        result = shell(*argv, "--resume")
        assert result.returncode == 0
        assert f", {len(written)} were there already" in result.stdout
        assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == sorted(names)

    @pytest.mark.nightly
    def test_torchrun_does_each_photo_once(self, tmp_path, checkpoint, photos):
        argv = ["stylize", tmp_path / "in", "--checkpoint", checkpoint, "-o", tmp_path / "out", "--jobs", "1"]
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        result = subprocess.run(
            [*launcher, "-m", "lookcast.cli", *map(str, argv)], capture_output=True, text=True, check=True
        )
        for rank in range(2):
            assert f"4 of 4 photos written to {tmp_path / 'out'} (part {rank} of 2)" in result.stdout
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [photo.name for photo in photos]

    def test_share(self, tmp_path, run, photos):
        for part in range(3):
            assert run(tmp_path / "in", "-o", tmp_path / str(part), "--share", f"{part}/3")[0] == 0
        names = [sorted(path.name for path in (tmp_path / str(part)).iterdir()) for part in range(3)]
        assert names == [["0.png", "3.png", "6.png"], ["1.png", "4.png", "7.png"], ["2.png", "5.png"]]


class TestStylizeRefuses:
    """One line on stderr, exit code 2, nothing written."""

    @pytest.fixture
    def refuse(self, tmp_path, run):
        def check(*arguments, reason):
            code, out, err = run(*arguments)
            assert (code, out) == (2, "")
            assert err.startswith("lookcast: error: ")
            assert reason in err
            assert err.count("\n") == 1
            assert not (tmp_path / "out").exists()

        return check

    def test_missing_photo(self, tmp_path, refuse):
        refuse(tmp_path / "no.jpg", "-o", tmp_path / "out", reason="no.jpg: no such photo")

    def test_no_photo(self, tmp_path, refuse):
        (tmp_path / "notes.txt").write_text("no photo")
        refuse(tmp_path / "notes.txt", "-o", tmp_path / "out", reason="notes.txt: not a photo")

    def test_name_with_a_newline(self, tmp_path, refuse):
        refuse(tmp_path / "two\nlines.jpg", "-o", tmp_path / "out", reason="no such photo")

    def test_folder_without_photos(self, tmp_path, refuse):
        (tmp_path / "empty").mkdir()
        refuse(tmp_path / "empty", "-o", tmp_path / "out", reason="no photos directly in this folder (looked for .jpg")

    def test_two_photos_of_one_name(self, tmp_path, refuse):
        photos = save_photo(tmp_path / "1" / "a.png"), save_photo(tmp_path / "2" / "a.png")
        refuse(*photos, "-o", tmp_path / "out", reason=f"{photos[0]} and {photos[1]} would both be written to")

    def test_one_photo_twice(self, tmp_path, refuse):
        photo = save_photo(tmp_path / "a.png")
        refuse(photo, photo, "-o", tmp_path / "out", reason="would both be written to")

    def test_several_photos_into_one_file(self, tmp_path, refuse):
        photos = save_photo(tmp_path / "in" / "a.png"), save_photo(tmp_path / "in" / "b.png")
        refuse(*photos, "-o", tmp_path / "out.png", reason="out.png: is named like one photo")
        refuse(tmp_path / "in", "-o", tmp_path / "out.png", reason="out.png: is named like one photo")

    def test_format_that_is_not_written(self, tmp_path, refuse):
        photo = save_photo(tmp_path / "a.png")
        refuse(photo, "-o", tmp_path / "out.gif", reason="out.gif: can't write photos of this suffix; known are .jpg")

    def test_output_folder_that_is_a_file(self, tmp_path, refuse):
        photos = save_photo(tmp_path / "a.png"), save_photo(tmp_path / "b.png")
        (tmp_path / "file").write_bytes(b"")
        refuse(photos[0], "-o", tmp_path / "file", reason="can't be written")
        refuse(*photos, "-o", tmp_path / "file" / "below", reason="can't be written")

    @pytest.mark.parametrize("strength", ["1.5", "-0.1", "nan"])
    def test_strength(self, tmp_path, refuse, strength):
        photo = save_photo(tmp_path / "a.png")
        refuse(photo, "-o", tmp_path / "out", f"--strength={strength}", reason="strength: expected a number in [0, 1]")

    def test_device(self, tmp_path, refuse):
        photo = save_photo(tmp_path / "a.png")
        refuse(photo, "-o", tmp_path / "out", "--device", "gpu", reason="device: 'gpu' is none of auto")

    def test_checkpoint(self, tmp_path, capsys):
        photo = save_photo(tmp_path / "a.png")
        for checkpoint in (tmp_path / "no.safetensors", photo):
            code = cli.main(["stylize", str(photo), "-o", str(tmp_path / "out"), "--checkpoint", str(checkpoint)])
            assert code == 2
            assert capsys.readouterr().err.startswith(f"lookcast: error: {checkpoint}: ")

    def test_no_checkpoint_where_none_ships(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr("lookcast.checkpoints.shipped", lambda _: tmp_path)
        photo = save_photo(tmp_path / "a.png")
        assert cli.main(["stylize", str(photo), "-o", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err == (
            "lookcast: error: this version of lookcast ships no universal checkpoint: pass the path of a checkpoint\n"
        )

    @pytest.mark.parametrize(
        ("option", "reason"),
        [
            ("--jobs=0", "argument --jobs: expected a whole number of at least 1, got '0'"),
            ("--jobs=-2", "argument --jobs: expected a whole number of at least 1, got '-2'"),
            ("--max-pixels=0", "argument --max-pixels: expected a whole number of at least 1, got '0'"),
            ("--checkpoint=", "argument --checkpoint: is empty; is a shell variable unset?"),
            ("--device=", "argument --devices/--device: is empty; is a shell variable unset?"),
            ("--weights=much", "argument --weights: expected numbers separated by commas, such as 2,1, got 'much'"),
            ("", "argument PHOTO: is empty; is a shell variable unset?"),
        ],
    )
    def test_nonsense(self, tmp_path, capsys, option, reason):
        with pytest.raises(SystemExit) as caught:
            cli.main(["stylize", str(save_photo(tmp_path / "a.png")), "-o", str(tmp_path / "out"), option])
        assert caught.value.code == 2
        assert capsys.readouterr().err.endswith(f"lookcast stylize: error: {reason}\n")

    @pytest.mark.parametrize("share", ["x", "1", "0/0", "2/2", "-1/2", "1/x", "0/1/2", ""])
    def test_share(self, tmp_path, refuse, share):
        reason = f"--share: expected I/N with I from 0 to N - 1, got {share}\n"
        refuse(save_photo(tmp_path / "a.png"), "-o", tmp_path / "out", f"--share={share}", reason=reason)

    @pytest.mark.parametrize(
        ("rank", "count", "got"),
        [("abc", "2", "abc/2"), ("1", None, "1/None"), (None, "2", "None/2"), ("5", "2", "5/2")],
    )
    def test_rank(self, tmp_path, refuse, run, monkeypatch, rank, count, got):
        for name, value in (("RANK", rank), ("WORLD_SIZE", count)):
            if value is not None:
                monkeypatch.setenv(name, value)
        photo = save_photo(tmp_path / "a.png")
        expected = "whole numbers I/N with I from 0 to N - 1, which torchrun sets; --share 0/1 ignores them"
        refuse(photo, "-o", tmp_path / "out", reason=f"RANK and WORLD_SIZE: expected {expected}, got {got}\n")
        assert run(photo, "-o", tmp_path / "out", "--share", "0/1")[0] == 0

    @pytest.mark.parametrize("checkpoint", ["/dev/null", "folder"])
    def test_checkpoint_that_is_no_file(self, tmp_path, capsys, checkpoint):
        photo = save_photo(tmp_path / "a.png")
        (tmp_path / "folder").mkdir()
        path = str(tmp_path / checkpoint)  # an absolute path stays
        assert cli.main(["stylize", str(photo), "-o", str(tmp_path / "out"), "--checkpoint", path]) == 2
        kind = "folder" if checkpoint == "folder" else "pipe or a device"
        assert capsys.readouterr().err.startswith(f"lookcast: error: {path}: is a {kind}, expected a checkpoint")

    @pytest.mark.parametrize("role", ["photo", "style", "content mask", "style mask"])
    def test_pipe(self, tmp_path, capsys, role):
        photo, pipe = save_photo(tmp_path / "a.png"), tmp_path / "pipe.png"
        os.mkfifo(pipe)
        mask = save_mask(tmp_path / "mask.png", (96, 64))
        files = {"photo": photo, "style": photo, "content mask": mask, "style mask": mask, role: pipe}
        words = [files["photo"], "--style", files["style"], "--content-mask", files["content mask"]]
        words += ["--style-mask", files["style mask"], "-o", tmp_path / "out", "--device", "cpu"]
        assert cli.main(["stylize", *map(str, words)]) == 2
        err = capsys.readouterr().err
        assert f"{pipe}: is a pipe or a device, expected a photo in a regular file" in err
        assert err.count("\n") == 1

    @pytest.mark.parametrize("place", ["photo", "out"])
    def test_names_over_255_characters(self, tmp_path, refuse, place):
        long = tmp_path / ("a" * 260 + ".png")
        words = (long, "-o", tmp_path / "out") if place == "photo" else (save_photo(tmp_path / "a.png"), "-o", long)
        refuse(*words, reason="(File name too long)")

    def test_out_below_a_file(self, tmp_path, refuse):
        photo = save_photo(tmp_path / "a.png")
        line = f"{photo / 'b.png'}: can't be written, because {photo} is no folder"
        refuse(photo, "-o", photo / "b.png", reason=line)

    @pytest.mark.parametrize("argv", [[], ["-o", "out"], ["a.jpg", "-o", "out", "--strenght", "1"]])
    def test_usage(self, capsys, argv):
        with pytest.raises(SystemExit) as caught:
            cli.main(["stylize", *argv])
        assert caught.value.code == 2
        assert "lookcast stylize: error: " in capsys.readouterr().err
