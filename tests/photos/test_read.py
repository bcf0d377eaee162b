import itertools
import struct
import zlib

import numpy as np
import pytest
import skimage.data
import torch
from PIL import ExifTags, Image

from lookcast.checks import InputError, ShapeError
from lookcast.photos.color import to_srgb
from lookcast.photos.photo import to_8_bits
from lookcast.photos.read import (
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    Photo,
    PhotoError,
    read_photo,
    read_srgb,
    to_pixels,
    to_tensor,
    write_photo,
)
from tests.photo_files import DISPLAY_P3, SRGB, UPRIGHT, exif, parsed, png16, save_photo

# The stored form of the upright photo for each EXIF orientation (TIFF 6.0: the sides of row 0 and column 0).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


class TestReadPhoto:
    def test_known_value(self, tmp_path):
        photo = read_photo(save_photo(tmp_path / "photo.png"))
        assert photo.pixels.dtype == np.uint8
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert (photo.alpha, photo.exif, photo.icc_profile) == (None, None, None)

    @pytest.mark.parametrize("orientation", STORED)
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_orientation(self, tmp_path, orientation, suffix):
        stored = np.ascontiguousarray(STORED[orientation](UPRIGHT))
        tags = exif(orientation, (stored.shape[1], stored.shape[0]))
        Image.fromarray(stored).save(tmp_path / f"photo{suffix}", exif=tags)
        photo = read_photo(tmp_path / f"photo{suffix}")
        assert np.array_equal(photo.pixels, UPRIGHT)
        kept = parsed(photo.exif)
        assert kept.get(ExifTags.Base.Orientation, 1) == 1
        details = kept.get_ifd(ExifTags.IFD.Exif)
        assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (96, 64)

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    def test_keeps_exif_and_profile(self, tmp_path, suffix):
        photo = read_photo(save_photo(tmp_path / f"photo{suffix}", exif=exif(), icc_profile=SRGB))
        kept = parsed(photo.exif)
        assert kept[ExifTags.Base.Make] == "Lookcam"
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.0)
        assert photo.icc_profile == SRGB

    def test_alpha_turns_with_the_photo(self, tmp_path):
        alpha = np.arange(96 * 64, dtype=np.uint8).reshape(64, 96)
        stored = np.ascontiguousarray(np.rot90(np.dstack((UPRIGHT, alpha)), 1))
        Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif(6))
        photo = read_photo(tmp_path / "photo.png")
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert np.array_equal(photo.alpha, alpha)

    def test_warns_of_further_pages(self, tmp_path, caplog):
        second = Image.new("RGB", (5, 3))
        save_photo(tmp_path / "pages.tif", save_all=True, append_images=[second])
        assert np.array_equal(read_photo(tmp_path / "pages.tif").pixels, UPRIGHT)
        assert ["several pictures" in record.getMessage() for record in caplog.records] == [True]

    def test_a_preview_of_a_phone_is_not_a_page(self, tmp_path, caplog):
        save_photo(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (5, 3))])
        assert read_photo(tmp_path / "phone.jpg").pixels.shape == (64, 96, 3)
        assert not caplog.records

    def test_reads_a_photo_with_broken_exif(self, tmp_path, caplog):
        broken = exif(6).replace(b"MM\0*", b"MM\0\xff").replace(b"II*\0", b"II\xff\0")
        photo = read_photo(save_photo(tmp_path / "photo.webp", exif=broken, lossless=True))
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert photo.exif is None
        assert ["EXIF is broken" in record.getMessage() for record in caplog.records] == [True]

    def test_rejects_missing_file(self, tmp_path):
        with pytest.raises(PhotoError, match=r"nothing\.jpg: no such photo$"):
            read_photo(tmp_path / "nothing.jpg")

    def test_rejects_folder(self, tmp_path):
        with pytest.raises(PhotoError, match="is a folder"):
            read_photo(tmp_path)

    def test_rejects_names_that_the_system_does_not_open(self, tmp_path):
        (tmp_path / "loop.png").symlink_to("loop.png")
        for path in (tmp_path / "loop.png", tmp_path / f"{'long' * 100}.png"):
            with pytest.raises(PhotoError, match=r"\.png: can't be read \([^)]+\)$"):
                read_photo(path)

    @pytest.mark.parametrize("content", [b"", b"A text, not a photo.\n", b"\x89PNG\r\n\x1a\n"])
    def test_rejects_other_files(self, tmp_path, content):
        (tmp_path / "photo.png").write_bytes(content)
        with pytest.raises(PhotoError, match=r"photo\.png: not a photo, or of an unknown format$"):
            read_photo(tmp_path / "photo.png")

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    def test_rejects_truncated(self, tmp_path, suffix):
        whole = save_photo(tmp_path / f"whole{suffix}", exif=exif(), icc_profile=SRGB).read_bytes()
        cut = tmp_path / f"cut{suffix}"
        for tenth in range(1, 10):
            cut.write_bytes(whole[: len(whole) * tenth // 10])
            with pytest.raises(PhotoError, match=r"^[^\n]*cut\.\w+: (broken or truncated|not a photo)[^\n]*$"):
                read_photo(cut)

    def test_rejects_decompression_bomb(self, tmp_path):
        data = bytearray(png16(np.zeros((1, 1, 3)), 2))
        data[16:24] = struct.pack(">2I", 60000, 60000)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        (tmp_path / "bomb.png").write_bytes(data)
        for options, limit in (({}, MAX_PIXELS), ({"max_pixels": 10**9}, 10**9)):
            with pytest.raises(PhotoError) as error:
                read_photo(tmp_path / "bomb.png", **options)
            assert str(error.value) == (
                f"{tmp_path / 'bomb.png'}: too large, 60000x60000 = 3600000000 pixels, more than the limit of {limit}; "
                "--max-pixels changes the limit"
            )

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_every_decoder_keeps_the_limit(self, tmp_path, suffix, dtype):
        path = tmp_path / f"photo{suffix}"
        write_photo(path, Photo(np.zeros((30, 40, 3), dtype)))
        assert read_photo(path, max_pixels=1200).pixels.shape == (30, 40, 3)
        with pytest.raises(PhotoError, match="40x30 = 1200 pixels, more than the limit of 1199"):
            read_photo(path, max_pixels=1199)

    def test_the_limit_of_pillow_is_not_used_or_changed(self, tmp_path, monkeypatch, recwarn):
        path = save_photo(tmp_path / "photo.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        assert read_photo(path).pixels.shape == (64, 96, 3)
        assert Image.MAX_IMAGE_PIXELS == 100
        assert not recwarn.list


class TestReadSrgb:
    def test_known_value(self, tmp_path):
        assert np.array_equal(read_srgb(save_photo(tmp_path / "photo.png")), UPRIGHT)

    def test_16_bits_in_another_space(self, tmp_path):
        deep = UPRIGHT.astype(np.uint16) * 257
        write_photo(tmp_path / "photo.png", Photo(deep, icc_profile=DISPLAY_P3))
        assert np.array_equal(read_srgb(tmp_path / "photo.png"), to_8_bits(to_srgb(deep, DISPLAY_P3)))


class TestReadSrgbShrunk:
    """`read_srgb(min_side=...)`, against the whole photo resized by Pillow."""

    @staticmethod
    def resized(pixels, size):
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
    def test_lossless_matches_reference(self, tmp_path, suffix):
        whole = skimage.data.astronaut()[:303, :400]
        Image.fromarray(whole).save(tmp_path / f"photo{suffix}")
        shrunk = read_srgb(tmp_path / f"photo{suffix}", min_side=101)
        assert np.array_equal(shrunk, self.resized(whole, (133, 101)))

    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize(
        ("min_side", "size"), [(250, (330, 250)), (120, (158, 120)), (61, (81, 61)), (30, (40, 30))]
    )
    def test_jpeg_matches_reference(self, tmp_path, mode, min_side, size):
        """At the full size, a half, a quarter and an eighth; the sides are no multiples of these."""
        whole = Image.fromarray(skimage.data.astronaut()[:303, 3:403]).convert(mode)
        whole.save(tmp_path / "photo.jpg", quality=95, subsampling=0)
        shrunk = read_srgb(tmp_path / "photo.jpg", min_side=min_side)
        assert shrunk.shape == (size[1], size[0], 3)
        error = np.abs(shrunk.astype(int) - self.resized(read_srgb(tmp_path / "photo.jpg"), size))
        assert error.mean() < 3.5  # means of blocks are a little sharper than a tent

    @pytest.mark.parametrize("min_side", [120, 61, 30])
    def test_jpeg_is_not_shifted(self, tmp_path, min_side):
        """The result is not shifted, not even by part of a pixel: a shifted reference matches it less."""
        pixels = skimage.data.astronaut()[:303, 3:403]
        Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=95, subsampling=0)
        shrunk = read_srgb(tmp_path / "photo.jpg", min_side=min_side).astype(int)
        shift = 303 / min_side / 4
        padded = Image.fromarray(np.pad(pixels, ((9, 9), (9, 9), (0, 0)), "edge"))
        errors = {}
        for x, y in itertools.product((-1, 0, 1), repeat=2):
            left, top = 9 + x * shift, 9 + y * shift
            size = shrunk.shape[1::-1]
            moved = padded.resize(size, Image.Resampling.BILINEAR, (left, top, left + 400, top + 303))
            errors[x, y] = np.square(shrunk - np.asarray(moved)).mean()
        assert min(errors, key=errors.get) == (0, 0)

    @pytest.mark.parametrize("orientation", STORED)
    def test_turns_upright(self, tmp_path, orientation):
        upright = skimage.data.astronaut()[:301, 3:402]
        stored = np.ascontiguousarray(STORED[orientation](upright))
        for suffix in (".jpg", ".tif"):
            Image.fromarray(stored).save(tmp_path / f"photo{suffix}", exif=exif(orientation), quality=95)
            shrunk = read_srgb(tmp_path / f"photo{suffix}", min_side=60)
            assert shrunk.shape == (60, 80, 3)
            assert np.abs(shrunk.astype(int) - self.resized(upright, (80, 60))).mean() < 1.5

    def test_a_smaller_photo_stays_as_it_is(self, tmp_path):
        for name in ("photo.png", "photo.jpg"):
            path = save_photo(tmp_path / name)
            for min_side in (64, 65, 512):
                assert np.array_equal(read_srgb(path, min_side=min_side), read_srgb(path))

    def test_16_bits_in_another_space(self, tmp_path):
        deep = skimage.data.astronaut()[:300, :400].astype(np.uint16) * 257
        write_photo(tmp_path / "photo.png", Photo(deep, icc_profile=DISPLAY_P3))
        expected = self.resized(to_8_bits(to_srgb(deep, DISPLAY_P3)), (133, 100))
        assert np.array_equal(read_srgb(tmp_path / "photo.png", min_side=100), expected)

    def test_jpeg_in_another_space(self, tmp_path):
        image = Image.fromarray(skimage.data.astronaut()[:300, :400])
        image.save(tmp_path / "photo.jpg", quality=95, icc_profile=DISPLAY_P3)
        error = read_srgb(tmp_path / "photo.jpg", min_side=75).astype(int)
        error -= self.resized(to_8_bits(to_srgb(np.asarray(image), DISPLAY_P3)), (100, 75))
        assert np.abs(error).mean() < 2.5

    def test_is_the_same_every_time(self, tmp_path):
        Image.fromarray(skimage.data.astronaut()).save(tmp_path / "photo.jpg")
        first, *others = (read_srgb(tmp_path / "photo.jpg", min_side=100).tobytes() for _ in range(5))
        assert set(others) == {first}

    def test_a_long_strip_keeps_a_pixel(self, tmp_path):
        Image.new("RGB", (4000, 9), (200, 0, 0)).save(tmp_path / "strip.jpg")
        assert read_srgb(tmp_path / "strip.jpg", min_side=1).shape == (1, 444, 3)

    def test_rejects_truncated(self, tmp_path):
        Image.fromarray(skimage.data.astronaut()).save(tmp_path / "whole.jpg")
        whole = (tmp_path / "whole.jpg").read_bytes()
        for tenth in range(1, 10):
            (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * tenth // 10])
            with pytest.raises(PhotoError, match=r"^[^\n]*cut\.jpg: (broken or truncated|not a photo)[^\n]*$"):
                read_srgb(tmp_path / "cut.jpg", min_side=100)

    def test_rejects_too_large_photos_before_decoding(self, tmp_path):
        with pytest.raises(PhotoError, match="96x64 = 6144 pixels, more than the limit of 6143"):
            read_srgb(save_photo(tmp_path / "photo.jpg"), max_pixels=6143, min_side=8)

    def test_rejects_no_pixels(self, tmp_path):
        with pytest.raises(InputError, match=r"^min_side: expected at least 1 pixel, got 0$"):
            read_srgb(save_photo(tmp_path / "photo.jpg"), min_side=0)


class TestToTensor:
    def test_known_value(self):
        tensor = to_tensor(np.array([[[0, 51, 255], [1, 2, 3]]], np.uint8))
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, torch.tensor([[0, 51, 255], [1, 2, 3]]).T.reshape(1, 3, 1, 2) / 255)
        assert tensor.is_contiguous()

    @pytest.mark.parametrize("pixels", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2)), np.zeros((2, 2, 3))])
    def test_rejects_other_arrays(self, pixels):
        with pytest.raises(InputError, match=r"pixels: expected \(H, W, 3\) of uint8"):
            to_tensor(pixels)


class TestToPixels:
    def test_undoes_to_tensor(self):
        pixels = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)
        assert np.array_equal(to_pixels(to_tensor(pixels)), pixels)

    def test_rounds_and_clamps(self):
        image = torch.tensor([-0.5, 1.5, 10.4 / 255, 10.6 / 255, 0.0, 1.0]).view(1, 3, 1, 2)
        assert to_pixels(image).transpose(2, 0, 1).ravel().tolist() == [0, 255, 10, 11, 0, 255]

    def test_rejects_a_batch(self):
        with pytest.raises(ShapeError, match="image"):
            to_pixels(torch.zeros(2, 3, 4, 4))
