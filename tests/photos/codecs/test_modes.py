import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from lookcast.photos.codecs.modes import to_rgb
from lookcast.photos.photo import to_8_bits
from lookcast.photos.read import PHOTO_SUFFIXES, PhotoError, read_photo
from tests.photo_files import BLACK_ONLY_CMYK, LINEAR_GREY, SRGB_PROFILE, UPRIGHT, save_photo


class TestToRgb:
    """Through files, because only files have some of these modes."""

    @pytest.mark.parametrize(
        ("mode", "suffix", "color", "expected"),
        [
            ("1", ".png", 1, (255, 255, 255)),
            ("L", ".jpg", 100, (100, 100, 100)),
            ("LA", ".png", (100, 7), (100, 100, 100)),
            ("PA", ".tif", (30, 9), (30, 30, 30)),
            ("RGBA", ".webp", (10, 10, 10, 0), (10, 10, 10)),
            ("RGBX", ".tif", (1, 2, 3, 4), (1, 2, 3)),
            ("CMYK", ".tif", (255, 0, 0, 0), (0, 255, 255)),
            ("CMYK", ".tif", (0, 0, 0, 255), (0, 0, 0)),
            ("YCbCr", ".tif", (76, 85, 255), (254, 0, 0)),
            ("I;16", ".png", 65535, (255, 255, 255)),
            ("I;16", ".png", 32768, (128, 128, 128)),
            ("I;16", ".tif", 257, (1, 1, 1)),
            ("I;16B", ".tif", 51400, (200, 200, 200)),
            ("I", ".tif", 514, (2, 2, 2)),
            ("F", ".tif", 0.2, (51, 51, 51)),
        ],
    )
    def test_mode(self, tmp_path, mode, suffix, color, expected):
        image = Image.new(mode, (5, 3), color)
        if mode == "PA":
            image.putpalette([level for level in range(256) for _ in range(3)])
        image.save(tmp_path / f"photo{suffix}", **({"lossless": True, "exact": True} if suffix == ".webp" else {}))
        pixels = to_8_bits(read_photo(tmp_path / f"photo{suffix}").pixels)
        assert pixels.shape == (3, 5, 3)
        assert np.array_equal(pixels, np.broadcast_to(expected, (3, 5, 3)))
        opened = Image.open(tmp_path / f"photo{suffix}")
        assert np.array_equal(to_rgb(opened, "photo").colors, pixels)

    def test_16_bit_grey_is_scaled(self):
        values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        rgb = to_rgb(Image.fromarray(values), "ramp").colors
        assert np.array_equal(rgb[..., 1], np.rint(values / 257).astype(np.uint8))

    def test_16_bit_grey_with_white_at_zero(self, tmp_path):
        tifffile.imwrite(tmp_path / "photo.tif", np.full((3, 5), 257, np.uint16), photometric="miniswhite")
        rgb = to_rgb(Image.open(tmp_path / "photo.tif"), "photo").colors
        assert np.array_equal(rgb, np.full((3, 5, 3), 254))

    def test_8_bits_are_read_without_a_warning(self, tmp_path, caplog):
        for suffix in PHOTO_SUFFIXES:
            read_photo(save_photo(tmp_path / f"photo{suffix}"))
        assert not caplog.records

    @pytest.mark.parametrize(
        ("mode", "color", "transparency", "expected"),
        [
            ("P", 3, 3, (30, 31, 32)),
            ("RGB", (1, 2, 3), (1, 2, 3), (1, 2, 3)),
            ("L", 9, 9, (9, 9, 9)),
            ("1", 0, 0, (0, 0, 0)),
        ],
    )
    def test_one_transparent_color_is_alpha(self, tmp_path, mode, color, transparency, expected):
        image = Image.new(mode, (5, 3), color)
        if mode == "P":
            image.putpalette([10 * index + channel for index in range(20) for channel in range(3)])
        image.putpixel((4, 2), (200, 0, 0) if mode == "RGB" else 1)
        image.save(tmp_path / "photo.png", transparency=transparency)
        photo = read_photo(tmp_path / "photo.png")
        assert np.array_equal(photo.alpha, np.pad([[255]], ((2, 0), (4, 0))))
        assert photo.pixels[0, 0].tolist() == list(expected)

    def test_lab(self, tmp_path, caplog):
        lab = ImageCms.profileToProfile(
            Image.fromarray(UPRIGHT), SRGB_PROFILE, ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        lab.save(tmp_path / "photo.tif")
        photo = read_photo(tmp_path / "photo.tif")
        # The file has 8 bits of Lab: single dark pixels are off by some levels of sRGB, not the picture.
        assert np.abs(photo.pixels.astype(int) - UPRIGHT).mean() < 1
        assert photo.icc_profile is None
        assert not caplog.records

    @pytest.mark.parametrize(
        ("mode", "color", "profile", "expected"),
        [("L", 55, LINEAR_GREY, 128), ("CMYK", (10, 200, 30, 128), BLACK_ONLY_CMYK, 118)],
    )
    def test_grey_and_cmyk_go_through_their_profile(self, tmp_path, mode, color, profile, expected):
        # 55/255 of the light of white is level 128 in sRGB; L* = 100 (1 - 128/255) is level 118.
        Image.new(mode, (5, 3), color).save(tmp_path / "photo.tif", icc_profile=profile)
        photo = read_photo(tmp_path / "photo.tif")
        assert np.array_equal(photo.pixels, np.full((3, 5, 3), expected))
        assert photo.icc_profile is None

    @pytest.mark.parametrize(("profile", "problem"), [(b"nonsense", "can't be read"), (BLACK_ONLY_CMYK, "for CMYK")])
    def test_warns_of_a_useless_profile(self, tmp_path, caplog, profile, problem):
        photo = read_photo(save_photo(tmp_path / "photo.tif", icc_profile=profile))
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert photo.icc_profile is None
        assert [problem in record.getMessage() for record in caplog.records] == [True]

    @pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
    def test_rejects_floats_of_unknown_range(self, tmp_path, value):
        Image.new("F", (5, 3), value).save(tmp_path / "photo.tif")
        with pytest.raises(PhotoError, match=r"photo\.tif: a floating point photo has values in \[0, 1\]"):
            read_photo(tmp_path / "photo.tif")

    @pytest.mark.parametrize("value", [70000, -1])
    def test_rejects_integers_of_unknown_range(self, tmp_path, value):
        Image.new("I", (5, 3), value).save(tmp_path / "photo.tif")
        with pytest.raises(PhotoError, match=rf"integers has values from 0 to 65535, this one from {value} to"):
            read_photo(tmp_path / "photo.tif")
