"""`lookcast fit`, and `lookcast stylize --refine`."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import lookcast
from lookcast import cli
from tests.looks import save_look, save_universal

SMALL = ("fit.max_side=64",)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_universal(tmp_path_factory.mktemp("checkpoint") / "all.safetensors")


@pytest.fixture
def files(tmp_path):
    """A photo and a style photo."""
    for name, pixels in (("photo", skimage.data.astronaut()[::6, ::6]), ("style", skimage.data.coffee()[::5, ::5])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path / "photo.png", tmp_path / "style.png"


@pytest.fixture
def run(capsys, checkpoint):
    """Run a command in this process: exit code, stdout, stderr."""

    def command(name, *arguments):
        code = cli.main([name, "--checkpoint", str(checkpoint), "--device", "cpu", *map(str, arguments)])
        return code, *capsys.readouterr()

    return command


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


class TestFit:
    def test_writes_the_photo(self, run, files, tmp_path):
        photo, style = files
        options = ("--steps", 12, "fit.tolerance=0", "-o", tmp_path / "out.png", *SMALL)
        code, out, err = run("fit", photo, "--style", style, *options)
        assert (code, out) == (0, f"{tmp_path / 'out.png'}\n")
        assert re.search(r"^lookcast: 12 of 12 steps \(all steps made\), loss [\d.]+ to [\d.]+$", err, re.MULTILINE)
        assert pixels(tmp_path / "out.png").shape == pixels(photo).shape
        run("stylize", photo, "--style", style, "-o", tmp_path / "plain.png")
        assert np.abs(pixels(tmp_path / "out.png") - pixels(tmp_path / "plain.png")).mean() > 2

    def test_pixels(self, run, files, tmp_path):
        photo, style = files
        options = ("--method", "pixels", "--steps", 15, "--every", 10, "fit.tolerance=0", "-o", tmp_path / "out.png")
        code, out, err = run("fit", photo, "--style", style, *options, *SMALL)
        assert (code, out) == (0, f"{tmp_path / 'out.png'}\n")
        assert re.search(r"^lookcast: 30 of 30 steps \(all steps made\), loss ", err, re.MULTILINE)
        assert pixels(tmp_path / "out.png").shape == pixels(photo).shape
        pictures = sorted((tmp_path / "out_steps").iterdir())
        assert [path.name for path in pictures] == [f"step_00{number}0.png" for number in range(4)]
        start, *_, end = (pixels(path) for path in pictures)
        assert np.abs(end - start).mean() > 5
        assert np.abs(pixels(tmp_path / "out.png") - pixels(photo)).mean() > 5

    def test_saved_look(self, run, files, tmp_path):
        photo, style = files
        look = tmp_path / "look.safetensors"
        options = ("--steps", 3, "--save-look", look, "-o", tmp_path / "out.png", *SMALL)
        code, out, _ = run("fit", photo, "--style", style, *options)
        assert (code, out) == (0, f"{look}\n{tmp_path / 'out.png'}\n")
        again = lookcast.load(look, "cpu").stylize(Image.open(photo))
        assert np.array_equal(np.asarray(again), pixels(tmp_path / "out.png"))

    def test_pictures_of_steps(self, run, files, tmp_path):
        photo, style = files
        run("fit", photo, "--style", style, "--steps", 5, "--every", 2, "-o", tmp_path / "out.png", *SMALL)
        pictures = sorted((tmp_path / "out_steps").iterdir())
        assert [path.name for path in pictures] == ["step_0000.png", "step_0002.png", "step_0004.png"]
        assert pixels(pictures[0]).shape == (64, 64, 3)
        assert not np.array_equal(pixels(pictures[0]), pixels(pictures[2]))
        # The pictures of another run would mix with these.
        again = ("--steps", 1, "--every", 1, "-o", tmp_path / "out.png", *SMALL)
        code, _, err = run("fit", photo, "--style", style, *again)
        assert code == 2
        assert "out_steps: is not empty" in err
        assert run("fit", photo, "--style", style, *again, "--overwrite")[0] == 0

    def test_precision(self, run, files, tmp_path, monkeypatch):
        photo, style = files
        seen = []
        monkeypatch.setattr(
            "lookcast.inference.pixel_stylizer.bfloat16_is_faster", lambda device: seen.append(device) or True
        )
        for precision in ("auto", "float32"):
            options = ("--precision", precision, "-o", tmp_path / f"{precision}.png", *SMALL)
            assert run("fit", photo, "--style", style, "--steps", 1, *options)[0] == 0
        assert len(seen) == 1  # with float32, no device is asked
        assert not np.array_equal(pixels(tmp_path / "auto.png"), pixels(tmp_path / "float32.png"))

    def test_settings(self, run, files, tmp_path):
        photo, style = files
        outputs = []
        for weight in (0, 5):
            out = tmp_path / f"{weight}.png"
            setting = f"fit.loss.color_weight={weight}"
            assert run("fit", photo, "--style", style, "--steps", 3, setting, "-o", out, *SMALL)[0] == 0
            outputs.append(pixels(out))
        assert not np.array_equal(*outputs)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["fit.foo=1"], "fit.foo"),
            (["fit.steps=0"], "steps: expected an integer from 1 to 10000, got 0"),
            (["fit.steps=5", "--steps", "6"], "fit.steps=5: given together with --steps"),
            (["fit=null"], "must be a string or a list"),
            (["--strength", "0"], "--strength: expected a number above 0"),
            (["--save-look", "look.pt"], "--save-look writes a file whose name ends with .safetensors"),
            (["--method", "pixels", "--from", "identity"], "--from: needs --method grid"),
            (["--method", "pixels", "--save-look", "look.safetensors"], "--save-look: needs --method grid"),
            (["--method", "pixels", "fit.smooth_radius=-1"], "smooth_radius: expected an integer from 0 to 1000"),
            (["--method", "paper", "fit.encoder.weights=missing.pth"], "missing.pth"),
            (["fit.loss.style_weight=-1"], "style_weight: expected at least 0, got -1"),
            (["extra.png"], "extra.png: expected one photo, then settings KEY=VALUE"),
        ],
    )
    def test_rejects_settings(self, run, files, tmp_path, arguments, message):
        photo, style = files
        code, out, err = run("fit", photo, "--style", style, "-o", tmp_path / "out.png", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("lookcast: error: ")
        assert message in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out.png").exists()

    def test_needs_a_style(self, run, files, tmp_path):
        code, _, err = run("fit", files[0], "-o", tmp_path / "out.png")
        assert (code, err) == (2, "lookcast: error: --style: a fit needs a style photo\n")

    def test_takes_one_photo(self, run, files, tmp_path):
        code, _, err = run("fit", tmp_path, "--style", files[1], "-o", tmp_path / "out")
        assert (code, err) == (2, f"lookcast: error: {tmp_path}: is a folder; a fit takes one photo\n")

    def test_keeps_the_inputs(self, run, files, tmp_path, checkpoint):
        photo, style = files
        before, checkpoint_before = style.read_bytes(), checkpoint.read_bytes()
        for options in (("-o", style), ("-o", tmp_path / "out.png", "--save-look", checkpoint)):
            code, _, err = run("fit", photo, "--style", style, *options)
            assert code == 2
            assert "--overwrite allows writing over it" in err
        assert (style.read_bytes(), checkpoint.read_bytes()) == (before, checkpoint_before)

    def test_refuses_a_fixed_look(self, files, tmp_path, capsys):
        fixed = save_look(tmp_path / "fixed.safetensors")
        code = cli.main(
            ["fit", str(files[0]), "--style", str(files[1]), "--checkpoint", str(fixed), "-o", str(tmp_path / "x.png")]
        )
        assert code == 2
        assert "fixed style" in capsys.readouterr().err

    def test_interrupted(self, files, tmp_path, checkpoint):
        photo, style = files
        command = [sys.executable, "-m", "lookcast.cli", "fit", photo, "--style", style, "--checkpoint", checkpoint]
        command += ["-o", tmp_path / "out.png", "--steps", "10000", "--every", "1", "fit.tolerance=0", *SMALL]
        paths = f"{Path(lookcast.__file__).parents[1]}"
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not (tmp_path / "out_steps" / "step_0002.png").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert out == f"{tmp_path / 'out.png'}\n"
        assert np.abs(pixels(tmp_path / "out.png") - pixels(photo)).mean() > 2


class TestRefine:
    def test_changes_the_output(self, run, files, tmp_path):
        photo, style = files
        for steps in (None, 3):
            options = () if steps is None else ("--refine", steps)
            assert run("stylize", photo, "--style", style, *options, "-o", tmp_path / f"{steps}.png")[0] == 0
        assert not np.array_equal(pixels(tmp_path / "None.png"), pixels(tmp_path / "3.png"))

    def test_a_folder(self, run, files, tmp_path):
        photo, style = files
        folder = tmp_path / "photos"
        folder.mkdir()
        for name in ("a.png", "b.png"):
            (folder / name).write_bytes(photo.read_bytes())
        assert run("stylize", folder, "--style", style, "--refine", 2, "-o", tmp_path / "out")[0] == 0
        run("stylize", photo, "--style", style, "--refine", 2, "-o", tmp_path / "single.png")
        run("stylize", photo, "--style", style, "-o", tmp_path / "plain.png")
        plain, single = pixels(tmp_path / "plain.png"), pixels(tmp_path / "single.png")
        for name in ("a.png", "b.png"):
            # A folder computes with other numbers of threads, which round differently, and the steps amplify rounding.
            output = pixels(tmp_path / "out" / name)
            assert np.abs(output - single).mean() < 0.1 * np.abs(output - plain).mean()

    def test_needs_a_style(self, files, tmp_path, capsys):
        fixed = save_look(tmp_path / "fixed.safetensors")
        arguments = [
            "stylize",
            str(files[0]),
            "--checkpoint",
            str(fixed),
            "--refine",
            "3",
            "-o",
            str(tmp_path / "o.png"),
        ]
        assert cli.main(arguments) == 2
        assert "--refine: needs a checkpoint that takes a style photo" in capsys.readouterr().err
