import numpy as np
import pytest
import pyvips
import tifffile
from PIL import ExifTags, Image

from lookcast.photos.read import Photo, PhotoError, write_photo
from tests.photo_files import DISPLAY_P3, IPTC, UPRIGHT, XMP, exif

DEEP = np.random.default_rng(0).integers(0, 65536, (700, 300, 3), dtype=np.uint16)  # more than one strip


class TestEncodeTiff:
    @pytest.mark.parametrize("pixels", [UPRIGHT, DEEP], ids=["8 bits", "16 bits"])
    @pytest.mark.parametrize("transparent", [False, True])
    def test_every_reader_reads_it(self, tmp_path, pixels, transparent):
        alpha = pixels[..., 0] if transparent else None
        path = tmp_path / "photo.tif"
        write_photo(path, Photo(pixels, alpha, exif(), DISPLAY_P3, XMP, IPTC, (300.0, 150.0)))
        expected = pixels if alpha is None else np.dstack((pixels, alpha))
        by_vips = pyvips.Image.new_from_file(str(path))
        assert np.array_equal(by_vips.numpy(), expected)
        assert by_vips.get("icc-profile-data") == DISPLAY_P3
        assert by_vips.get("xmp-data") == XMP
        with tifffile.TiffFile(path) as file:
            assert np.array_equal(file.asarray(), expected)
            tags = {tag.name: tag.value for tag in file.pages[0].tags}
        assert tags["Make"] == "Lookcam"
        assert tags["ExifTag"]["DateTimeOriginal"] == "2024:05:06 07:08:09"
        assert tags["GPSTag"]["GPSLatitude"] == (52, 1, 31, 1, 12, 1)
        assert (tags["XResolution"], tags["YResolution"]) == ((300, 1), (150, 1))
        assert bytes(tags["IPTCNAA"]) == IPTC
        by_pillow = Image.open(path)
        assert by_pillow.mode == ("RGBA" if transparent else "RGB")
        assert by_pillow.getexif().get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.0)
        if pixels.dtype == np.uint8:
            assert np.array_equal(np.asarray(by_pillow), expected)

    def test_bare(self, tmp_path):
        write_photo(tmp_path / "photo.tif", Photo(DEEP))
        assert np.array_equal(tifffile.imread(tmp_path / "photo.tif"), DEEP)

    def test_big_endian_exif(self, tmp_path):
        assert exif()[6:8] == b"MM"
        write_photo(tmp_path / "photo.tif", Photo(DEEP, exif=exif()))
        assert np.array_equal(tifffile.imread(tmp_path / "photo.tif"), DEEP)

    def test_rejects_more_than_4_gib(self, tmp_path):
        huge = np.broadcast_to(np.zeros(3, np.uint16), (40000, 20000, 3))
        with pytest.raises(PhotoError, match="can't hold this photo of 20000x40000 pixels"):
            write_photo(tmp_path / "photo.tif", Photo(huge))
