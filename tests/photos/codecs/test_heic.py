import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from lookcast.photos.read import Photo, PhotoError, check_writable, read_photo, write_photo
from tests.photo_files import DISPLAY_P3, UPRIGHT, exif, save_photo

RAMP = np.linspace(0, 65535, 64 * 96 * 3).astype(np.uint16).reshape(64, 96, 3)


@pytest.fixture
def heic(tmp_path):
    write_photo(tmp_path / "photo.heic", Photo(UPRIGHT, exif=exif(), icc_profile=DISPLAY_P3))
    return tmp_path / "photo.heic"


class TestHeic:
    def test_8_bits(self, heic):
        photo = read_photo(heic)
        assert photo.pixels.dtype == np.uint8
        assert np.abs(photo.pixels.astype(int) - UPRIGHT).mean() < 1
        assert photo.icc_profile == DISPLAY_P3

    def test_10_bits(self, tmp_path):
        write_photo(tmp_path / "photo.heic", Photo(RAMP, RAMP[..., 0], icc_profile=DISPLAY_P3))
        assert pillow_heif.open_heif(tmp_path / "photo.heic").info["bit_depth"] == 10
        photo = read_photo(tmp_path / "photo.heic")
        assert photo.pixels.dtype == photo.alpha.dtype == np.uint16
        assert np.abs(photo.pixels.astype(int) - RAMP).mean() < 100
        assert (photo.pixels.min(), photo.pixels.max()) == (0, 65535)
        assert np.abs(photo.alpha.astype(int) - RAMP[..., 0]).mean() < 100
        assert photo.icc_profile == DISPLAY_P3

    @pytest.mark.parametrize("bits", [8, 10])
    def test_is_turned_once(self, tmp_path, bits):
        stored = np.ascontiguousarray(np.rot90(UPRIGHT, 1))
        deep = bits == 10
        image = pillow_heif.from_bytes(
            "RGB;16" if deep else "RGB", (64, 96), (stored.astype(np.uint16) * 257 if deep else stored).tobytes()
        )
        image.save(tmp_path / "photo.heic", exif=exif(6, (64, 96)), quality=95, chroma=444)
        pixels = read_photo(tmp_path / "photo.heic").pixels
        assert pixels.shape == UPRIGHT.shape
        assert np.abs(pixels / (257 if deep else 1) - UPRIGHT).mean() < 2

    def test_quality_and_subsampling(self, tmp_path, heic):
        for name, options in (("low.heic", {"quality": 40}), ("small.heic", {"subsampling": "4:2:0"})):
            write_photo(tmp_path / name, Photo(UPRIGHT, exif=exif(), icc_profile=DISPLAY_P3), **options)
            assert (tmp_path / name).stat().st_size < heic.stat().st_size

    def test_content_decides(self, tmp_path, heic):
        heic.rename(tmp_path / "photo.jpg")
        assert read_photo(tmp_path / "photo.jpg").pixels.shape == UPRIGHT.shape
        save_photo(tmp_path / "photo.png").rename(heic)
        assert np.array_equal(read_photo(heic).pixels, UPRIGHT)

    def test_warns_that_hdr_is_read_as_srgb(self, tmp_path, caplog):
        image = pillow_heif.from_bytes("RGB;16", (96, 64), RAMP.tobytes())
        image.save(tmp_path / "photo.heic", color_primaries=9, transfer_characteristics=18, save_nclx_profile=True)
        read_photo(tmp_path / "photo.heic")
        assert ["wide or HDR colours" in message for message in caplog.messages] == [True]

    def test_names_the_missing_package(self, heic, monkeypatch):
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        message = r"photo\.heic: is HEIC, which needs pillow-heif: pip install 'lookcast\[heic\]'$"
        for work in (read_photo, check_writable, lambda path: write_photo(path, Photo(UPRIGHT))):
            with pytest.raises(PhotoError, match=message):
                work(heic)

    def test_names_a_missing_encoder(self, heic, monkeypatch):
        monkeypatch.setattr(pillow_heif, "libheif_info", lambda: {"HEIF": ""})
        with pytest.raises(PhotoError, match=r"HEIC can't hold this photo .*no encoder"):
            write_photo(heic, Photo(UPRIGHT))

    def test_libraries_are_imported_on_first_use(self, tmp_path):
        save_photo(tmp_path / "photo.png")
        program = (
            "import sys; from lookcast.photos.read import read_photo\n"
            f"before = 'pyvips' in sys.modules; read_photo({str(tmp_path / 'photo.png')!r})\n"
            "print(before, 'pyvips' in sys.modules, 'pillow_heif' in sys.modules)"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert result.stdout.split() == ["False"] * 3

    def test_pillow_opens_it(self, heic):
        assert Image.open(heic).size == (96, 64)
