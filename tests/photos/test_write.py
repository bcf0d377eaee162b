import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, JpegImagePlugin

from lookcast.checks import InputError
from lookcast.photos.read import (
    PHOTO_SUFFIXES,
    Photo,
    PhotoError,
    check_writable,
    read_photo,
    write_photo,
)
from tests.photo_files import SRGB, UPRIGHT, exif, save_photo


class TestWritePhoto:
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
    def test_lossless(self, tmp_path, suffix):
        path = tmp_path / f"photo{suffix}"
        write_photo(path, Photo(UPRIGHT))
        assert np.array_equal(np.asarray(Image.open(path)), UPRIGHT)

    @pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
    def test_jpeg_quality(self, tmp_path, suffix):
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT))
        written = Image.open(tmp_path / f"photo{suffix}")
        assert JpegImagePlugin.get_sampling(written) == 0  # 4:4:4
        subsampled = Image.open(save_photo(tmp_path / "subsampled.jpg", quality=95))
        assert written.quantization == subsampled.quantization

        def distance(image):
            return np.abs(np.asarray(image).astype(int) - UPRIGHT).mean()

        assert distance(written) < distance(subsampled) < 3

    @pytest.mark.parametrize(("subsampling", "expected"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
    def test_jpeg_subsampling(self, tmp_path, subsampling, expected):
        write_photo(tmp_path / "photo.jpg", Photo(UPRIGHT), subsampling=subsampling)
        assert JpegImagePlugin.get_sampling(Image.open(tmp_path / "photo.jpg")) == expected

    @pytest.mark.parametrize("suffix", [".jpg", ".webp"])
    def test_quality_means_the_same_as_in_pillow(self, tmp_path, suffix):
        for quality in (1, 60, 100):
            write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT), quality)
            expected = io.BytesIO()
            options = {"exact": True} if suffix == ".webp" else {"subsampling": 0}
            Image.fromarray(UPRIGHT).save(expected, Image.registered_extensions()[suffix], quality=quality, **options)
            assert (tmp_path / f"photo{suffix}").read_bytes() == expected.getvalue()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"quality": 0}, r"quality: expected a whole number from 1 to 100, got 0"),
            ({"quality": 101}, "quality: "),
            ({"quality": 90.5}, "quality: "),
            ({"subsampling": "4:1:1"}, r"subsampling: expected one of 4:4:4, 4:2:2, 4:2:0, got '4:1:1'"),
        ],
    )
    def test_rejects_unknown_options(self, tmp_path, options, message):
        for work in (check_writable, lambda path, **options: write_photo(path, Photo(UPRIGHT), **options)):
            with pytest.raises(InputError, match=message) as caught:
                work(tmp_path / "photo.jpg", **options)
            assert not isinstance(caught.value, PhotoError)  # the next photo would fail as well
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("suffix", [".jpg", ".webp"])
    def test_16_bits_are_rounded_to_8(self, tmp_path, caplog, suffix):
        deep = UPRIGHT.astype(np.uint16) * 257 + 100
        write_photo(tmp_path / f"deep{suffix}", Photo(deep, deep[..., 0] if suffix == ".webp" else None))
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT, UPRIGHT[..., 0] if suffix == ".webp" else None))
        assert (tmp_path / f"deep{suffix}").read_bytes() == (tmp_path / f"photo{suffix}").read_bytes()
        assert ["16 bits are rounded" in message for message in caplog.messages] == [True]

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    @pytest.mark.parametrize("transparent", [False, True])
    def test_16_bits_stay_16(self, tmp_path, caplog, suffix, transparent):
        deep = np.random.default_rng(0).integers(0, 65536, (40, 60, 3), dtype=np.uint16)
        alpha = deep[..., 1].copy() if transparent else None
        write_photo(tmp_path / f"photo{suffix}", Photo(deep, alpha))
        photo = read_photo(tmp_path / f"photo{suffix}")
        assert np.array_equal(photo.pixels, deep)
        assert np.array_equal(photo.alpha, alpha) if transparent else photo.alpha is None
        assert not caplog.records

    def test_any_view_of_pixels(self, tmp_path):
        for suffix in (".png", ".tif"):
            write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT[::-1, ::2]))
            assert np.array_equal(read_photo(tmp_path / f"photo{suffix}").pixels, UPRIGHT[::-1, ::2])

    def test_webp_quality(self, tmp_path):
        write_photo(tmp_path / "photo.webp", Photo(UPRIGHT))
        written = np.asarray(Image.open(tmp_path / "photo.webp")).astype(int)
        assert np.abs(written - UPRIGHT).mean() < 2  # lossy WebP halves the chroma resolution

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    @pytest.mark.parametrize("source", [".jpg", ".tif", ".webp"])
    def test_keeps_exif_and_profile(self, tmp_path, source, suffix):
        photo = read_photo(save_photo(tmp_path / f"in{source}", exif=exif(3), icc_profile=SRGB))
        write_photo(tmp_path / f"out{suffix}", photo)
        written = Image.open(tmp_path / f"out{suffix}")
        assert written.info["icc_profile"] == SRGB
        kept = written.getexif()
        assert kept[ExifTags.Base.Make] == "Lookcam"
        assert kept.get(ExifTags.Base.Orientation, 1) == 1
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.0)
        assert written.size == (96, 64)

    def test_removes_the_preview_of_the_old_look(self, tmp_path):
        tags = Image.Exif()
        tags[ExifTags.Base.Make] = "Lookcam"
        preview = b"\xff\xd8 the old look \xff\xd9"
        # IFD0 with one entry, then IFD1, which holds the preview.
        base = tags.tobytes()
        ifd0_end = base.index(b"Exif\0\0") + 6 + 8 + 2 + 12
        order = "<" if base[6:8] == b"II" else ">"
        ifd1 = struct.pack(f"{order}H2HII2HIII", 2, 513, 4, 1, 200, 514, 4, 1, len(preview), 0)
        data = bytearray(base.ljust(6 + 150, b"\0") + ifd1.ljust(50, b"\0") + preview)
        data[ifd0_end : ifd0_end + 4] = struct.pack(f"{order}I", 150)
        photo = read_photo(save_photo(tmp_path / "in.jpg", exif=bytes(data)))
        assert Image.open(tmp_path / "in.jpg").getexif().get_ifd(ExifTags.IFD.IFD1)[514] == len(preview)
        write_photo(tmp_path / "out.jpg", photo)
        assert Image.open(tmp_path / "out.jpg").getexif()[ExifTags.Base.Make] == "Lookcam"
        assert b"the old look" not in (tmp_path / "out.jpg").read_bytes()

    @pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
    def test_keeps_alpha(self, tmp_path, caplog, suffix):
        alpha = np.arange(96 * 64, dtype=np.uint8).reshape(64, 96)
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT, alpha))
        assert np.array_equal(read_photo(tmp_path / f"photo{suffix}").alpha, alpha)
        assert not caplog.records

    @pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".webp", 3), (".tif", 0)])
    def test_keeps_colors_below_full_transparency(self, tmp_path, suffix, tolerance):
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT, np.zeros((64, 96), np.uint8)))
        written = read_photo(tmp_path / f"photo{suffix}").pixels.astype(int)
        assert np.abs(written - UPRIGHT).mean() <= tolerance

    def test_drops_the_storage_tags_of_a_tiff(self, tmp_path):
        save_photo(tmp_path / "in.tif", exif=exif(), icc_profile=SRGB)
        write_photo(tmp_path / "out.jpg", read_photo(tmp_path / "in.tif"))
        kept = dict(Image.open(tmp_path / "out.jpg").getexif())
        assert kept.keys() == {ExifTags.Base.Make, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}

    def test_warns_that_jpeg_drops_alpha(self, tmp_path, caplog):
        write_photo(tmp_path / "photo.jpg", Photo(UPRIGHT, np.zeros((64, 96), np.uint8)))
        assert Image.open(tmp_path / "photo.jpg").mode == "RGB"
        assert ["alpha channel is left out" in record.getMessage() for record in caplog.records] == [True]

    def test_warns_that_jpeg_drops_too_much_exif(self, tmp_path, caplog):
        tags = Image.Exif()
        tags[ExifTags.Base.ImageDescription] = "x" * 70000
        write_photo(tmp_path / "photo.jpg", Photo(UPRIGHT, exif=tags.tobytes()))
        assert "exif" not in Image.open(tmp_path / "photo.jpg").info
        assert ["more than JPEG can store" in record.getMessage() for record in caplog.records] == [True]

    @pytest.mark.parametrize("name", ["photo.bmp", "photo", "photo.cube"])
    def test_rejects_unknown_suffix(self, tmp_path, name):
        with pytest.raises(PhotoError, match=r"known are \.jpg, \.jpeg, \.png, \.webp, \.tif, \.tiff, \.heic, \.heif$"):
            write_photo(tmp_path / name, Photo(UPRIGHT))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("suffix", "width"), [(".webp", 16384), (".jpg", 65501)])
    def test_rejects_sizes_beyond_the_format(self, tmp_path, suffix, width):
        target = tmp_path / f"wide{suffix}"
        target.write_bytes(b"what was there")
        with pytest.raises(PhotoError, match=f"can't hold this photo of {width}x1 pixels"):
            write_photo(target, Photo(np.zeros((1, width, 3), np.uint8)))
        assert target.read_bytes() == b"what was there"
        assert list(tmp_path.iterdir()) == [target]

    def test_rejects_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="can't be written") as caught:
            write_photo(tmp_path / "file" / "photo.png", Photo(UPRIGHT))
        assert not isinstance(caught.value, PhotoError)  # the next photo would fail as well


class TestPhotoSuffixes:
    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    def test_each_suffix_gives_its_format(self, tmp_path, suffix):
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT))
        written = Image.open(io.BytesIO((tmp_path / f"photo{suffix}").read_bytes()))
        assert written.format == Image.registered_extensions()[suffix]
