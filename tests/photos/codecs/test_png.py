import numpy as np
import pytest
import pyvips
from PIL import Image

from lookcast.photos.read import Photo, write_photo
from tests.photo_files import DISPLAY_P3, UPRIGHT, XMP, exif

DEEP = np.random.default_rng(0).integers(0, 65536, (700, 300, 3), dtype=np.uint16)  # more than one band


class TestEncodePng:
    @pytest.mark.parametrize("pixels", [UPRIGHT, DEEP], ids=["8 bits", "16 bits"])
    @pytest.mark.parametrize("transparent", [False, True])
    def test_every_reader_reads_it(self, tmp_path, pixels, transparent):
        alpha = pixels[..., 0] if transparent else None
        path = tmp_path / "photo.png"
        write_photo(path, Photo(pixels, alpha, exif(), DISPLAY_P3, XMP, None, (300.0, 150.0)))
        expected = pixels if alpha is None else np.dstack((pixels, alpha))
        by_vips = pyvips.Image.new_from_file(str(path))
        assert np.array_equal(by_vips.numpy(), expected)
        assert by_vips.get("icc-profile-data") == DISPLAY_P3
        assert by_vips.get("xmp-data") == XMP
        by_pillow = Image.open(path)
        by_pillow.verify()  # checks every sum
        by_pillow = Image.open(path)
        assert by_pillow.info["exif"] == exif()
        assert by_pillow.info["icc_profile"] == DISPLAY_P3
        assert np.allclose(by_pillow.info["dpi"], (300, 150), atol=0.02)
        if pixels.dtype == np.uint8:
            assert np.array_equal(np.asarray(by_pillow), expected)

    def test_bare(self, tmp_path):
        write_photo(tmp_path / "photo.png", Photo(UPRIGHT))
        assert Image.open(tmp_path / "photo.png").info == {}

    def test_is_about_as_small_as_pillows(self, tmp_path):
        write_photo(tmp_path / "photo.png", Photo(UPRIGHT))
        Image.fromarray(UPRIGHT).save(tmp_path / "pillow.png")
        assert (tmp_path / "photo.png").stat().st_size < 1.2 * (tmp_path / "pillow.png").stat().st_size
