import numpy as np
import pytest
from PIL import Image

from lookcast.inference.photo import PhotoError
from lookcast.inference.vips import decode, encode_png
from tests.photo_files import UPRIGHT, save_photo


class TestDecode:
    @pytest.mark.parametrize("options", [{}, {"quality": 95, "subsampling": 0}, {"progressive": True}], ids=str)
    def test_matches_pillow(self, tmp_path, options):
        path = save_photo(tmp_path / "photo.jpg", **options)
        with Image.open(path) as image:
            assert np.array_equal(decode(path, image), np.asarray(image))

    def test_rejects_another_size_than_the_header_says(self, tmp_path):
        path, other = save_photo(tmp_path / "photo.jpg"), tmp_path / "other.jpg"
        Image.new("RGB", (5, 3)).save(other)
        with Image.open(other) as image, pytest.raises(PhotoError, match=r"header says 5x3 and other sizes$"):
            decode(path, image)

    def test_tries_no_other_format(self, tmp_path):
        path = save_photo(tmp_path / "photo.jpg")
        with Image.open(save_photo(tmp_path / "photo.png")) as image, pytest.raises(PhotoError, match="broken"):
            decode(path, image)


class TestEncodePng:
    @pytest.mark.parametrize("channels", [3, 4])
    def test_known_value(self, tmp_path, channels):
        pixels = UPRIGHT if channels == 3 else np.dstack((UPRIGHT, UPRIGHT[..., 0]))
        (tmp_path / "photo.png").write_bytes(encode_png(pixels))
        image = Image.open(tmp_path / "photo.png")
        assert np.array_equal(np.asarray(image), pixels)
        assert "exif" not in image.info
