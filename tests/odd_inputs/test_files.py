"""Odd files through the command line and through Python: a right result, or one line that names the file."""

import os

import numpy as np
import pytest
from PIL import Image

import lookcast
from lookcast.checkpoints import load_checkpoint
from lookcast.checks import InputError
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.color import from_srgb, to_srgb
from lookcast.photos.masks import read_mask
from lookcast.photos.photo import to_8_bits
from lookcast.photos.read import read_photo
from tests.looks import assert_same_levels, look
from tests.odd_inputs import checkpoints, masks, photos

CPU = ("--device", "cpu", "--checkpoint")


def cases(generator):
    return [pytest.param(make, id=name) for name, make in generator()]


def assert_refused(result, path):
    assert result.code == 2
    assert len(result.errors) == 1
    assert result.errors[0].startswith("lookcast: error: ")
    assert str(path) in result.errors[0]
    assert len(result.errors[0]) < 1000


def assert_refused_in_python(call, path):
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert "\x1b" not in message


class TestPhotos:
    @pytest.mark.parametrize("make", cases(photos.readable))
    def test_stylized(self, run, place, make):
        path = place / "photo.jpg"
        make(path)
        result = run("stylize", path, "-o", "out/o.png", *CPU, "look.safetensors")
        assert (result.code, result.errors) == (0, [])
        assert [file.name for file in (place / "out").iterdir()] == ["o.png"]
        photo, written = read_photo(path), read_photo(place / "out" / "o.png")
        assert written.pixels.shape == photo.pixels.shape
        assert written.pixels.dtype == photo.pixels.dtype
        assert (written.alpha is None) == (photo.alpha is None)
        srgb = to_srgb(photo.pixels, photo.icc_profile)
        expected = from_srgb(Stylizer(look(), {}, "cpu").stylize(srgb), srgb, photo.pixels, photo.icc_profile)
        assert_same_levels(to_8_bits(written.pixels), to_8_bits(expected).astype(float))
        assert all(str(path) in line and len(line.splitlines()) == 1 for line in result.log)

    @pytest.mark.parametrize("make", cases(photos.refused))
    def test_refused(self, run, place, make):
        path = place / "photo.jpg"
        make(path)
        limit = ("--max-pixels", photos.MAX_PIXELS)
        result = run("stylize", path, "-o", "out/o.png", *limit, *CPU, "look.safetensors")
        assert_refused(result, path)
        if not path.is_dir():  # the command line reads all photos of a folder
            assert_refused_in_python(lambda: read_photo(path, photos.MAX_PIXELS), path)

    @pytest.mark.parametrize("name", photos.NAMES)
    def test_names(self, run, place, name):
        (place / "in").mkdir()
        photos.IMAGE.save(place / "in" / name, "PNG")
        assert run("stylize", "-o", "out", *CPU, "look.safetensors", "--", f"in/{name}").code == 0
        assert [file.name for file in (place / "out").iterdir()] == [name]

    def test_unreadable(self, run, place):
        if os.geteuid() == 0:
            pytest.skip("root can read every file")
        (place / "a.jpg").chmod(0)
        assert_refused(run("stylize", "a.jpg", "-o", "out/o.png", *CPU, "look.safetensors"), "a.jpg")


class TestMasks:
    def words(self, given, side):
        names = {
            "content": given if side == "content" else "whole.png",
            "style": given if side == "style" else "whole.png",
        }
        masks.MASK.save("whole.png")
        return (
            "--style",
            "b.jpg",
            "--content-mask",
            names["content"],
            "--style-mask",
            names["style"],
            *CPU,
            "universal.safetensors",
        )

    @pytest.mark.parametrize("make", cases(masks.readable))
    @pytest.mark.parametrize("side", ["content", "style"])
    def test_used(self, run, place, make, side):
        make(place / "mask.png")
        words = self.words("mask.png", side)
        assert run("stylize", "a.jpg", "-o", "out/o.png", *words)[:2] == (0, [])
        labels = {"content": read_mask("whole.png"), "style": read_mask("whole.png"), side: read_mask("mask.png")}
        a, b = (np.asarray(Image.open(name)) for name in ("a.jpg", "b.jpg"))
        stylizer = lookcast.load("universal.safetensors", "cpu")
        expected = stylizer.stylize(a, b, labels["content"], labels["style"])
        assert_same_levels(np.asarray(Image.open("out/o.png")), expected.astype(float))

    @pytest.mark.parametrize("make", cases(masks.refused))
    @pytest.mark.parametrize("side", ["content", "style"])
    def test_refused(self, run, place, make, side):
        make(place / "mask.png")
        assert_refused(run("stylize", "a.jpg", "-o", "out/o.png", *self.words("mask.png", side)), "mask.png")
        assert_refused_in_python(lambda: read_mask("mask.png", (16, 24)), "mask.png")


class TestCheckpoints:
    @pytest.mark.parametrize("make", cases(checkpoints.readable))
    def test_loaded(self, run, place, make):
        make(place / "odd.safetensors")
        assert run("stylize", "a.jpg", "-o", "out/o.png", *CPU, "odd.safetensors")[:2] == (0, [])
        expected = Stylizer(checkpoints.GENERATOR, {}, "cpu").stylize(np.asarray(Image.open("a.jpg")))
        written = np.asarray(Image.open("out/o.png")).astype(int)
        # bfloat16 keeps 8 bits of each weight, and the network adds some hundred products.
        assert np.abs(written - expected).max() <= 6

    @pytest.mark.parametrize("make", cases(checkpoints.refused))
    def test_refused(self, run, place, make):
        path = place / "odd.safetensors"
        make(path)
        assert_refused(run("stylize", "a.jpg", "-o", "out/o.png", *CPU, path), path)
        assert_refused_in_python(lambda: load_checkpoint(path), path)
        assert not (place / "ran").exists()
