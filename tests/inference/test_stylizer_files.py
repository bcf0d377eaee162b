"""`Stylizer.stylize` with paths of photos and masks, and with PIL masks."""

import logging
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lookcast import cli
from lookcast.checks import InputError
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.masks import PALETTE
from lookcast.photos.file_image import FileImage
from lookcast.photos.masks import read_mask
from lookcast.photos.photo import Photo
from lookcast.photos.read import read_photo, write_photo
from lookcast.structures import StyleInput
from tests.looks import save_universal, universal_look
from tests.photo_files import DISPLAY_P3, UPRIGHT, XMP, exif, save_photo
from tests.runs import BLUE, GREEN, save_mask

COFFEE = skimage.data.coffee()[::5, ::5].copy()


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(universal_look(), {}, "cpu")


@pytest.fixture
def photo(tmp_path):
    return save_photo(tmp_path / "photo.jpg", exif=exif(6), quality=95)


@pytest.fixture
def style(tmp_path):
    Image.fromarray(COFFEE).save(tmp_path / "style.png")
    return tmp_path / "style.png"


class TestPaths:
    @pytest.mark.parametrize("kind", [str, Path])
    def test_equals_pixels(self, stylizer, photo, style, kind):
        output = stylizer.stylize(kind(photo), kind(style))
        assert isinstance(output, Image.Image)
        expected = stylizer.stylize(read_photo(photo).pixels, COFFEE)
        assert expected.shape == (96, 64, 3)  # upright
        assert np.array_equal(np.asarray(output), expected)

    def test_save_writes_the_bytes_of_the_command_line(self, stylizer, photo, style, tmp_path):
        stylizer.stylize(photo, style).save(tmp_path / "api.jpg")
        checkpoint = save_universal(tmp_path / "all.safetensors")
        argv = ["stylize", photo, "--style", style, "--checkpoint", checkpoint, "--device", "cpu"]
        assert cli.main([*map(str, argv), "-o", str(tmp_path / "cli.jpg")]) == 0
        assert (tmp_path / "api.jpg").read_bytes() == (tmp_path / "cli.jpg").read_bytes()

    def test_save_keeps_exif_and_profile(self, stylizer, style, tmp_path):
        source = tmp_path / "wide.jpg"
        write_photo(source, Photo(UPRIGHT, exif=exif(), icc_profile=DISPLAY_P3, xmp=XMP, dpi=(300.0, 300.0)))
        stylizer.stylize(str(source), style).save(tmp_path / "out.jpg")
        before, after = read_photo(source), read_photo(tmp_path / "out.jpg")
        assert after[2:] == before[2:]  # all but the pixels and alpha
        with Image.open(tmp_path / "out.jpg") as written:
            assert written.info["icc_profile"] == DISPLAY_P3
            assert written.getexif().get_ifd(0x8769)[36867] == "2024:05:06 07:08:09"

    def test_alpha_is_kept(self, stylizer, style, tmp_path):
        alpha = np.arange(UPRIGHT[..., 0].size, dtype=np.uint8).reshape(UPRIGHT.shape[:2])
        write_photo(tmp_path / "a.png", Photo(UPRIGHT, alpha))
        output = stylizer.stylize(tmp_path / "a.png", style)
        assert (output.mode, type(output)) == ("RGBA", FileImage)
        assert np.array_equal(np.asarray(output.getchannel("A")), alpha)

    def test_16_bits_are_rounded_with_a_warning(self, stylizer, style, tmp_path, caplog):
        write_photo(tmp_path / "deep.png", Photo(UPRIGHT.astype(np.uint16) * 257 + 30))
        with caplog.at_level(logging.WARNING):
            output = stylizer.stylize(tmp_path / "deep.png", style)
        deep = stylizer.stylize(read_photo(tmp_path / "deep.png").pixels, COFFEE)
        assert deep.dtype == np.uint16
        assert np.array_equal(np.asarray(output), np.rint(deep / 257).astype(np.uint8))
        assert caplog.messages == [
            f"{tmp_path / 'deep.png'}: PIL has 8 bits per colour; the photo's 16 bits are rounded"
        ]

    def test_several_styles_and_set_style(self, stylizer, photo, style):
        other = save_photo(style.with_name("other.png"), "astronaut")
        mixed = stylizer.stylize(photo, [str(style), other], weights=[2, 1])
        expected = stylizer.stylize(read_photo(photo).pixels, [COFFEE, read_photo(other).pixels], weights=[2, 1])
        assert np.array_equal(np.asarray(mixed), expected)
        single = Stylizer(universal_look(), {}, "cpu")
        single.set_style(str(style))
        assert np.array_equal(np.asarray(single.stylize(photo)), np.asarray(stylizer.stylize(photo, style)))

    @pytest.mark.parametrize("name", ["missing.jpg", "notes.txt", "."])
    def test_rejects_what_is_no_photo(self, stylizer, photo, style, tmp_path, name):
        (tmp_path / "notes.txt").write_text("no photo")
        for content, look in ((tmp_path / name, style), (photo, tmp_path / name)):
            with pytest.raises(InputError) as caught:
                stylizer.stylize(content, look)
            assert str(caught.value).startswith(f"{tmp_path / name}: ")


class TestMasks:
    @pytest.fixture
    def masks(self, tmp_path):
        """Masks of the upright photo and of the style, in which the two labels change places."""
        size = (COFFEE.shape[1], COFFEE.shape[0])
        return save_mask(tmp_path / "content.png", (64, 96)), save_mask(tmp_path / "style_mask.png", size, GREEN, BLUE)

    def test_every_form_of_a_mask_is_equal(self, stylizer, photo, style, masks):
        content, other = masks
        expected = stylizer.stylize(photo, style, read_mask(content), read_mask(other))
        plain = stylizer.stylize(photo, style)
        assert not np.array_equal(np.asarray(expected), np.asarray(plain))
        for open_form in (
            str,
            Path,
            Image.open,
            lambda path: Image.open(path).quantize(9),
            lambda p: read_mask(p).numpy(),
        ):
            forms = open_form(content), open_form(other)
            for call in (
                {"content_mask": forms[0], "style_mask": forms[1]},
                {"content_mask": [forms[0]], "style_mask": [forms[1]]},
            ):
                assert np.array_equal(np.asarray(stylizer.stylize(photo, style, **call)), np.asarray(expected))
            with_mask = StyleInput(style, forms[1])
            assert np.array_equal(np.asarray(stylizer.stylize(photo, with_mask, forms[0])), np.asarray(expected))

    def test_refine_takes_them_too(self, stylizer, photo, style, masks):
        outputs = [
            stylizer.stylize(photo, style, convert(masks[0]), convert(masks[1]), refine=2)
            for convert in (str, read_mask)
        ]
        assert np.array_equal(*map(np.asarray, outputs))

    def test_rejects_what_is_no_mask(self, stylizer, photo, style, masks, tmp_path):
        picture = Image.open(photo)
        for mask, reason in (
            (tmp_path / "missing.png", f"{tmp_path / 'missing.png'}: no such photo"),
            (picture, r"content_mask: .* are far from each of the nine colours of masks; .*"),
            (photo, r".*photo\.jpg: .* are far from each of the nine colours of masks; .*"),
            (Image.new("RGB", (64, 64), PALETTE[0][1]), r"content_mask: .*64.*96.*"),
            (5, "content_mask: expected a path, a PIL image, an array or a tensor, got int"),
            (torch.full((96, 64), 99, dtype=torch.uint8), "content_mask: labels are 0 to 8, .*"),
        ):
            with pytest.raises(InputError, match=f"^{reason}$"):
                stylizer.stylize(photo, style, content_mask=mask, style_mask=masks[1])
