import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from lookcast.photos.codecs.jpeg import decode_jpeg, encode_jpeg
from lookcast.photos.photo import PhotoError
from tests.photo_files import SRGB, XMP, exif, save_photo

PHOTO = skimage.data.chelsea()
IPTC_SEGMENT = b"\xff\xed\x00\x06Anna"


def by_pillow(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


class TestDecodeJpeg:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"quality": 95, "subsampling": 0},
            {"subsampling": "4:2:2"},
            {"progressive": True},
            {"restart_marker_rows": 1},
            {"keep_rgb": True},
            {"exif": exif(), "icc_profile": SRGB, "xmp": XMP, "comment": "a cat"},
        ],
        ids=lambda options: "-".join(options) or "plain",
    )
    @pytest.mark.parametrize("size", [(1, 1), (7, 13), (300, 451)], ids=str)
    def test_matches_pillow(self, tmp_path, options, size):
        path = tmp_path / "photo.jpg"
        path.write_bytes(by_pillow(PHOTO[: size[0], : size[1]], **options))
        with Image.open(path) as image:
            assert np.array_equal(decode_jpeg(path, image), np.asarray(image))

    def test_reads_intact_files_with_padding(self, tmp_path):
        """Some cameras leave bytes between two segments; here before a restart marker."""
        plain = by_pillow(PHOTO, restart_marker_rows=4)
        between = plain.index(b"\xff\xd0")
        (tmp_path / "photo.jpg").write_bytes(plain[:between] + bytes(5) + plain[between:])
        with Image.open(tmp_path / "photo.jpg") as image, Image.open(io.BytesIO(plain)) as expected:
            assert np.array_equal(decode_jpeg(tmp_path / "photo.jpg", image), np.asarray(expected))

    def test_rejects_truncated(self, tmp_path):
        path = save_photo(tmp_path / "photo.jpg")
        path.write_bytes(path.read_bytes()[:-30])
        with Image.open(path) as image, pytest.raises(PhotoError, match=r"photo.jpg: broken or truncated \(.+\)$"):
            decode_jpeg(path, image)

    @pytest.mark.parametrize("size", [(5, 3), (500, 300)])
    def test_rejects_another_size_than_the_header_says(self, tmp_path, size):
        path, other = save_photo(tmp_path / "photo.jpg"), tmp_path / "other.jpg"
        Image.new("RGB", size).save(other)
        message = rf"states the size {size[0]}x{size[1]} and another size$"
        with Image.open(other) as image, pytest.raises(PhotoError, match=message):
            decode_jpeg(path, image)


class TestEncodeJpeg:
    @pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
    @pytest.mark.parametrize("quality", [1, 75, 95, 100])
    def test_matches_pillow(self, quality, subsampling):
        expected = by_pillow(PHOTO, quality=quality, subsampling=subsampling)
        assert b"".join(encode_jpeg(PHOTO, quality, subsampling)) == expected

    @pytest.mark.parametrize(
        "options",
        [
            {"exif": exif()},
            {"icc_profile": bytes(100_000)},  # more than one segment
            {"xmp": XMP, "dpi": (300, 300)},
            {"exif": exif(), "icc_profile": SRGB, "xmp": XMP, "dpi": (72, 96), "extra": IPTC_SEGMENT},
        ],
        ids=lambda options: "-".join(options),
    )
    def test_metadata_matches_pillow(self, options):
        expected = by_pillow(PHOTO, quality=90, subsampling="4:4:4", **options)
        assert b"".join(encode_jpeg(PHOTO, 90, "4:4:4", **options)) == expected

    def test_any_view_of_pixels(self):
        view = PHOTO[::-2, 10:99]
        assert b"".join(encode_jpeg(view, 90, "4:4:4")) == b"".join(encode_jpeg(view.copy(), 90, "4:4:4"))
