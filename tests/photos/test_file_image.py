import io

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from lookcast.photos.file_image import FileImage, to_file_image
from lookcast.photos.photo import Photo
from lookcast.photos.read import read_photo
from tests.photo_files import IPTC, SRGB, UPRIGHT, XMP, exif

ALPHA = np.arange(UPRIGHT.shape[0] * UPRIGHT.shape[1], dtype=np.uint8).reshape(UPRIGHT.shape[:2])
FULL = Photo(UPRIGHT, None, exif(), SRGB, XMP, IPTC, (300.0, 300.0))


class TestToFileImage:
    def test_known_value(self):
        image = to_file_image(FULL, "a.jpg")
        assert isinstance(image, Image.Image)
        assert np.array_equal(np.asarray(image), UPRIGHT)
        assert image.info == {"exif": exif(), "icc_profile": SRGB, "xmp": XMP, "iptc": IPTC, "dpi": (300.0, 300.0)}

    def test_alpha(self):
        image = to_file_image(Photo(UPRIGHT, ALPHA), "a.png")
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image.getchannel("A")), ALPHA)

    def test_16_bits_are_rounded_with_a_warning(self, caplog):
        image = to_file_image(Photo(UPRIGHT.astype(np.uint16) * 257 + 100), "a.png")
        assert np.array_equal(np.asarray(image), UPRIGHT)
        assert caplog.messages == ["a.png: PIL has 8 bits per colour; the photo's 16 bits are rounded"]


class TestFileImage:
    @pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
    def test_save_keeps_exif_and_profile(self, tmp_path, name):
        to_file_image(FULL, "photo").save(tmp_path / name)
        with Image.open(tmp_path / name) as written:
            assert written.getexif()[271] == "Lookcam"
            assert written.getexif().get_ifd(0x8769)[36867] == "2024:05:06 07:08:09"
            assert written.info["icc_profile"] == SRGB
            assert ImageCms.getProfileDescription(io.BytesIO(written.info["icc_profile"])).strip() == "sRGB built-in"
        if name != "a.tif":  # a second reader, libexif; libvips reads no EXIF of a TIFF
            second = pyvips.Image.new_from_file(str(tmp_path / name))
            assert second.get("exif-ifd0-Make").startswith("Lookcam")
            assert second.get("exif-ifd2-DateTimeOriginal").startswith("2024:05:06 07:08:09")
            assert second.get("icc-profile-data") == SRGB

    def test_save_writes_the_bytes_of_the_command_line(self, tmp_path):
        from lookcast.photos.write import write_photo

        to_file_image(FULL, "photo").save(str(tmp_path / "a.jpg"))
        write_photo(tmp_path / "b.jpg", FULL)
        assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
        read = read_photo(tmp_path / "a.jpg")
        assert (read.xmp, read.iptc, read.dpi) == (XMP, IPTC, (300.0, 300.0))

    def test_quality(self, tmp_path):
        image = to_file_image(FULL, "photo")
        image.save(tmp_path / "a.jpg", quality=40)
        image.save(tmp_path / "b.jpg")
        assert (tmp_path / "a.jpg").stat().st_size < (tmp_path / "b.jpg").stat().st_size

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_save_into_an_open_file(self, kind):
        file = io.BytesIO()
        to_file_image(FULL, "photo").save(file, kind)
        with Image.open(file) as written:
            assert written.format == kind
            assert written.getexif()[271] == "Lookcam"
            assert written.info["icc_profile"] == SRGB

    def test_arguments_of_the_caller_win(self, tmp_path):
        to_file_image(FULL, "photo").save(tmp_path / "a.jpg", exif=b"", icc_profile=None)
        with Image.open(tmp_path / "a.jpg") as written:
            assert (dict(written.getexif()), written.info.get("icc_profile")) == ({}, None)

    def test_save_writes_the_pixels_of_the_image(self, tmp_path):
        image = to_file_image(FULL, "photo")
        image.paste((255, 0, 0), (0, 0, 10, 10))
        image.putalpha(128)
        image.save(tmp_path / "a.png")
        read = read_photo(tmp_path / "a.png")
        assert np.array_equal(read.pixels[:10, :10], np.full((10, 10, 3), (255, 0, 0)))
        assert np.array_equal(read.alpha, np.full(UPRIGHT.shape[:2], 128))

    def test_alpha_is_left_out_of_a_jpeg_with_a_warning(self, tmp_path, caplog):
        to_file_image(Photo(UPRIGHT, ALPHA), "photo").save(tmp_path / "a.jpg")
        assert Image.open(tmp_path / "a.jpg").mode == "RGB"
        assert caplog.messages == [f"{tmp_path / 'a.jpg'}: JPEG has no transparency; the alpha channel is left out"]

    def test_other_formats_are_left_to_pillow(self, tmp_path):
        to_file_image(FULL, "photo").save(tmp_path / "a.bmp")
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.bmp")), UPRIGHT)

    def test_derived_images_are_plain(self):
        small = to_file_image(FULL, "photo").resize((9, 6))
        assert type(small) is Image.Image
        assert FileImage is not Image.Image
