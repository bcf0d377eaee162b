import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageCms

import lookcast
from lookcast import cli
from lookcast.ops.lut import apply_lut
from lookcast.photos.photo import Photo
from lookcast.photos.read import read_photo, write_photo

PHOTO = skimage.data.coffee()[100:260, 150:350]


def graded(levels):
    """A grade of 16-bit levels: less contrast, warmer."""
    return (levels * np.array([0.8, 0.7, 0.6]) + 6000).round().astype(np.uint16)


@pytest.fixture
def files(tmp_path):
    levels = PHOTO.astype(np.uint16) * 257
    write_photo(tmp_path / "before.png", Photo(levels))
    write_photo(tmp_path / "after.tif", Photo(graded(levels)))
    return tmp_path


@pytest.fixture
def run(files, capsys, monkeypatch):
    """`lookcast match` in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(files)

    def match(*arguments):
        return cli.main(["match", *map(str, arguments)]), *capsys.readouterr()

    return match


def table(path):
    lines = [line for line in path.read_text().splitlines() if line[0].isdigit()]
    size = round(len(lines) ** (1 / 3))
    return torch.tensor([[float(v) for v in line.split()] for line in lines], dtype=torch.float64).view(
        size, size, size, 3
    )


def levels_apart(lut):
    """Mean difference, in 8-bit levels, between the table's output and the grade."""
    levels = PHOTO.astype(np.uint16) * 257
    image = torch.from_numpy(levels.astype(np.float64)).permute(2, 0, 1)[None] / 65535
    return np.abs(apply_lut(lut, image)[0].permute(1, 2, 0).numpy() * 255 - graded(levels) / 257).mean()


class TestMatch:
    def test_look(self, files, run):
        code, out, err = run("before.png", "after.tif", "-o", "look.safetensors", "--heatmap", "map.png")
        assert (code, err) == (0, "")
        assert out.startswith("look.safetensors: the look differs from the second photo by 0.0")
        assert read_photo(files / "map.png").pixels.shape == PHOTO.shape
        look = lookcast.load(files / "look.safetensors", "cpu")
        assert look.header["match"]["mean"] < 0.1
        levels = PHOTO.astype(np.uint16) * 257
        # The grade is affine, so the look holds it up to the regularisation.
        assert np.abs(look.stylize(levels).astype(int) - graded(levels)).mean() / 257 < 0.1
        assert cli.main(["stylize", "before.png", "--checkpoint", "look.safetensors", "-o", "out.png"]) == 0
        assert np.abs(read_photo(files / "out.png").pixels.astype(int) - graded(levels)).mean() / 257 < 0.1

    def test_look_has_no_size(self, run):
        code, _, err = run("before.png", "after.tif", "-o", "look.safetensors", "--size", 33)
        assert (code, err) == (2, "lookcast: error: --size: is the size of a table; a look has none\n")

    def test_cube(self, files, run):
        code, out, err = run("before.png", "after.tif", "-o", "look.cube", "--size", 17, "--heatmap", "map.png")
        assert (code, err) == (0, "")
        assert out.startswith("look.cube: the table differs from the second photo by 0.0")
        assert "does not explain 0.0% of the pixels (more than 2.0 dE)" in out
        # The grade is affine, so a table holds it exactly. The solver stops at a relative residual of 1e-5 of a mean
        # square, so the bound is for the mean, and not for the rarest colour.
        assert levels_apart(table(files / "look.cube")) < 0.1
        assert Image.open(files / "map.png").size == (200, 160)

    def test_hald(self, files, run):
        assert run("before.png", "after.tif", "-o", "look.png", "--size", 36)[0] == 0
        levels = read_photo(files / "look.png").pixels.reshape(36, 36, 36, 3)
        assert levels_apart(torch.from_numpy(levels / 65535)) < 0.1

    def test_an_srgb_profile_changes_nothing(self, files, run):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        before = read_photo(files / "before.png")
        write_photo(files / "same.png", before._replace(icc_profile=profile))
        code, out, _ = run("before.png", "same.png", "-o", "look.cube", "--size", 17)
        assert code == 0
        assert "by 0.0" in out

    def test_inputs_are_kept(self, files, run):
        (files / "link.png").symlink_to(files / "before.png")
        kept = (files / "before.png").read_bytes()
        line = "lookcast: error: link.png: is a photo to read; --overwrite allows writing over it\n"
        assert run("before.png", "after.tif", "-o", "link.png", "--size", 36) == (2, "", line)
        assert run("before.png", "after.tif", "-o", "a.cube", "--heatmap", "link.png") == (2, "", line)
        assert (files / "before.png").read_bytes() == kept
        assert run("before.png", "after.tif", "-o", "before.png", "--size", 36, "--overwrite")[0] == 0
        assert (files / "before.png").read_bytes() != kept


class TestRefuses:
    """One line on stderr, exit code 2, nothing written."""

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (
                "before.png after.tif -o a.pt",
                "a.pt: a table is written to a file that ends with .cube",
            ),
            ("before.png after.tif -o a.cube --size 64", "size: expected one of 17, 33, 65 for .cube, got 64"),
            (
                "before.png after.tif -o a.cube --heatmap a.jpg",
                "a.jpg: --heatmap writes a file whose name ends with .png",
            ),
            ("before.png after.tif -o a.png --heatmap a.png", "would both be written to a.png"),
            ("before.png no.tif -o a.cube", "no.tif: no such photo"),
            (
                "before.png after.tif -o before.png/a.cube",
                "before.png/a.cube: can't be written, because before.png is no",
            ),
            (
                "before.png small.png -o a.cube --no-align",
                "after: aligned photos have one size, got (8, 8) for (160, 200)",
            ),
            ("before.png small.png -o a.cube", "after: can't be aligned with before (0 matching points"),
        ],
    )
    def test_bad_input(self, files, run, arguments, reason):
        write_photo(files / "small.png", Photo(np.zeros((8, 8, 3), np.uint8)))
        before = sorted(files.rglob("*"))
        code, out, err = run(*arguments.split())
        assert (code, out) == (2, "")
        assert err.startswith("lookcast: error: ")
        assert reason in err
        assert err.count("\n") == 1
        assert sorted(files.rglob("*")) == before

    def test_usage(self, run, capsys):
        with pytest.raises(SystemExit) as caught:
            run("before.png", "-o", "a.cube")
        assert caught.value.code == 2
        assert "lookcast match: error: " in capsys.readouterr().err
