import base64
import json
import re

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import lookcast
from lookcast import cli
from lookcast.checkpoints import DEFAULT_CHECKPOINT
from lookcast.ops.bilateral.dispatch import apply_grid_to_pixels
from lookcast.photos.color import to_srgb
from lookcast.photos.masks import read_mask
from lookcast.photos.photo import Photo
from lookcast.photos.read import read_photo, write_photo
from tests.html_pages import ParsedPage
from tests.looks import save_look, save_universal
from tests.photo_files import DISPLAY_P3

MASK_COLORS = {"sky": (0, 0, 255), "ground": (0, 255, 0)}


@pytest.fixture
def files(tmp_path):
    cat, cup = skimage.data.chelsea(), skimage.data.coffee()
    write_photo(tmp_path / "cat.png", Photo(cat))
    write_photo(tmp_path / "cup.png", Photo(cup))
    for name, pixels in (("cat_mask.png", cat), ("cup_mask.png", cup)):
        mask = np.empty_like(pixels)
        mask[: len(mask) // 2], mask[len(mask) // 2 :] = MASK_COLORS.values()
        write_photo(tmp_path / name, Photo(mask))
    write_photo(tmp_path / "square.png", Photo(read_photo(tmp_path / "cat_mask.png").pixels[:, :300]))
    return tmp_path


@pytest.fixture
def run(files, capsys, monkeypatch):
    """`lookcast explain` in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(files)

    def explain(*arguments):
        return cli.main(["explain", *map(str, arguments)]), *capsys.readouterr()

    return explain


def text_of(path):
    page = path.read_text(encoding="utf-8")
    return " ".join(ParsedPage(page).text.split())


class TestExplain:
    def test_without_masks(self, files, run):
        assert run("cat.png", "--style", "cup.png", "-o", "a.html") == (0, "a.html\n", "")
        text = text_of(files / "a.html")
        assert "How cat.png got the look of cup.png" in text
        assert "size451 x 300 pixels" in text
        assert "regionspredicted by the network" in text
        assert f"checkpoint{DEFAULT_CHECKPOINT} (universal generator)" in text
        assert (files / "a.html").stat().st_size < 5_000_000

    def test_with_masks(self, files, run):
        masks = ("--content-mask", "cat_mask.png", "--style-mask", "cup_mask.png")
        assert run("cat.png", "--style", "cup.png", *masks, "-o", "a.html") == (0, "a.html\n", "")
        text = text_of(files / "a.html")
        assert "regionsgiven masks" in text
        assert "blue: 50 % and 50 %" in text

    def test_with_automatic_masks(self, files, run):
        arguments = ("cat.png", "--style", "cup.png", "--auto-masks", "clusters", "--save-masks", "masks")
        assert run(*arguments, "-o", "a.html") == (0, "a.html\n", "")
        assert "regionsautomatic masks (clusters)" in text_of(files / "a.html")
        assert read_mask(files / "masks" / "content" / "cat.png").ndim == 2

    def test_a_single_look(self, files, run):
        save_look(files / "look.safetensors")
        assert run("cat.png", "--checkpoint", "look.safetensors", "-o", "a.html") == (0, "a.html\n", "")
        text = text_of(files / "a.html")
        assert "How cat.png got its look" in text
        assert "no attention to show" in text
        assert "checkpointlook.safetensors (bilateral generator)" in text

    def test_a_deep_photo_with_a_profile_is_explained_as_it_is_stylized(self, files, run):
        save_universal(files / "u.safetensors")
        write_photo(files / "deep.png", Photo(skimage.data.chelsea().astype(np.uint16) * 257, icc_profile=DISPLAY_P3))
        assert run("deep.png", "--style", "cup.png", "--checkpoint", "u.safetensors", "-o", "a.html")[0] == 0
        data = json.loads(re.search(r"const data = (.*);", (files / "a.html").read_text(encoding="utf-8"))[1])
        grid = torch.from_numpy(np.frombuffer(base64.b64decode(data["grid"]), "<f4").copy()).view(12, 8, 16, 16)
        deep = read_photo(files / "deep.png")
        content = to_srgb(deep.pixels, deep.icc_profile)
        assert content.dtype == np.uint16
        output = apply_grid_to_pixels(grid, torch.from_numpy(content)).numpy()
        stylizer = lookcast.load(files / "u.safetensors")
        assert np.array_equal(output, stylizer.stylize(content, read_photo(files / "cup.png").pixels))

    @pytest.mark.parametrize(
        ("size", "mode"), [((1, 1), "RGB"), ((4000, 3), "L"), ((3, 4000), "RGBA"), ((17, 16), "1")]
    )
    def test_odd_photos(self, files, run, size, mode):
        Image.new(mode, size, 1).save(files / "odd.png")
        save_universal(files / "u.safetensors")
        for content, style in (("odd.png", "cup.png"), ("cup.png", "odd.png")):
            arguments = (content, "--style", style, "--checkpoint", "u.safetensors", "-o", "a.html")
            assert run(*arguments) == (0, "a.html\n", "")
            data = json.loads(re.search(r"const data = (.*);", (files / "a.html").read_text(encoding="utf-8"))[1])
            shares = np.frombuffer(base64.b64decode(data["shares"]), "<f4").reshape(8, -1)
            assert np.abs(shares.sum(0) - 1).max() < 1e-5  # means of at most 600 float32 values
            assert np.isfinite(np.frombuffer(base64.b64decode(data["grid"]), "<f4")).all()

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ("no.png --style cup.png -o a.html", "no.png: no such photo"),
            ("cat.png --style no.png -o a.html", "no.png: no such photo"),
            ("cat.png -o a.html", "style: expected one style photo to explain, got 0"),
            ("cat.png --style cup.png --style cat.png -o a.html", "--style: explain shows one look at a time, got 2"),
            ("cat.png --style cup.png -o a.jpg", "a.jpg: explain writes a page; its name ends with .html"),
            ("cat.png --style cup.png -o cat.png", "cat.png: explain writes a page; its name ends with .html"),
            ("cat.png --style cup.png -o cat.png/a.html", "cat.png/a.html: can't be written, because cat.png is no"),
            ("cat.png --style cup.png -o .html", ".html: explain writes a page; its name ends with .html"),
            ("cat.png --style cup.png --content-mask cat_mask.png -o a.html", "--style-mask: missing"),
            ("cat.png --style cup.png --style-mask cup_mask.png -o a.html", "--content-mask: missing"),
            ("cat.png --content-mask cat_mask.png -o a.html", "--content-mask: needs --style and --style-mask"),
            ("cat.png --style cup.png --save-masks m -o a.html", "--save-masks: needs --auto-masks"),
            (
                "cat.png --style cup.png --auto-masks clusters --style-mask cup_mask.png -o a.html",
                "--auto-masks: finds masks, so it excludes --content-mask and --style-mask",
            ),
            (
                "cat.png --style cup.png --content-mask square.png --style-mask cup_mask.png -o a.html",
                "square.png: is 300x300 pixels, its photo 451x300: another aspect ratio",
            ),
            ("cat.png --style cup.png --max-pixels 1000 -o a.html", "cat.png: too large, 451x300 = 135300 pixels"),
            ("cat.png --style cup.png --checkpoint no -o a.html", "no: no checkpoint of this name ships"),
            ("cat.png --style cup.png --device tpu -o a.html", "device: "),
            ("cat.png --style cup.png --checkpoint look.safetensors -o a.html", "style: the bilateral generator has a"),
            (
                "cat.png --checkpoint pixels.safetensors -o a.html",
                "checkpoint: the transform generator predicts pixels",
            ),
            ("page.html --style cup.png -o page.html", "page.html: is one of the photos to read"),
        ],
    )
    def test_bad_input(self, files, run, arguments, reason):
        save_look(files / "look.safetensors")
        save_look(files / "pixels.safetensors", "transform")
        (files / "page.html").write_bytes((files / "cat.png").read_bytes())
        before = {path: path.read_bytes() for path in files.rglob("*")}
        code, out, err = run(*arguments.split())
        assert (code, out) == (2, "")
        assert err.startswith(f"lookcast: error: {reason}")
        assert err.count("\n") == 1
        assert {path: path.read_bytes() for path in files.rglob("*")} == before

    def test_usage(self, run, capsys):
        with pytest.raises(SystemExit) as caught:
            run("cat.png", "--style", "cup.png")
        assert caught.value.code == 2
        assert "lookcast explain: error: " in capsys.readouterr().err
