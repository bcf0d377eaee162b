import struct

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, PngImagePlugin

from lookcast.photos.read import PHOTO_SUFFIXES, Photo, read_photo, write_photo
from tests.photo_files import IPTC, UPRIGHT, XMP, exif, jpeg_with_iptc, parsed, png16, save_photo

UNTRUE = (
    b' tiff:Orientation="6"',
    b" tiff:Orientation='6'",
    b"<tiff:Orientation>6</tiff:Orientation>",
    b"<xmp:Thumbnails><rdf:Alt>\n<rdf:li>the old look</rdf:li></rdf:Alt></xmp:Thumbnails>",
    b"<xap:Thumbnails>the old look</xap:Thumbnails>",
    b' hdrgm:Version="1.0" hdrgm:GainMapMax="2"',
    b'<Container:Directory xmlns:Container="c">\n<rdf:Seq/></Container:Directory>',
    b' GCamera:MotionPhoto="1"',
    b' xmpNote:HasExtendedXMP="0123456789"',
)


class TestReadMetadata:
    def test_xmp_in_every_format(self, tmp_path):
        png = PngImagePlugin.PngInfo()
        png.add_itxt("XML:com.adobe.xmp", XMP.decode())
        for suffix in PHOTO_SUFFIXES:
            options = {"pnginfo": png} if suffix == ".png" else {"tiffinfo": {700: XMP}} if "tif" in suffix else {}
            path = save_photo(tmp_path / f"photo{suffix}", **(options or {"xmp": XMP}))
            assert read_photo(path).xmp == XMP

    @pytest.mark.parametrize("untrue", UNTRUE)
    def test_removes_untrue_parts_of_xmp(self, tmp_path, untrue):
        place = b"</rdf:RDF>" if untrue.startswith(b"<") else b"/></rdf"
        path = save_photo(tmp_path / "photo.jpg", xmp=XMP.replace(place, untrue + place))
        assert untrue in path.read_bytes()
        assert read_photo(path).xmp == XMP

    def test_iptc(self, tmp_path):
        assert read_photo(jpeg_with_iptc(tmp_path / "photo.jpg")).iptc == IPTC
        padded = IPTC + bytes(-len(IPTC) % 4)
        as_words = (33723, "I", len(padded) // 4, struct.unpack(f"<{len(padded) // 4}I", padded), True)
        for name, extra in (("bytes", (33723, "B", len(padded), padded, True)), ("words", as_words)):
            tifffile.imwrite(tmp_path / name, UPRIGHT, photometric="rgb", extratags=[extra])
            assert read_photo(tmp_path / name).iptc == padded
            assert read_photo(tmp_path / name).exif is None or 33723 not in parsed(read_photo(tmp_path / name).exif)

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
    def test_dpi(self, tmp_path, suffix):
        assert read_photo(save_photo(tmp_path / f"photo{suffix}")).dpi is None
        path = save_photo(tmp_path / f"photo{suffix}", dpi=(300, 150))
        assert np.allclose(read_photo(path).dpi, (300, 150), atol=0.02)

    def test_dpi_turns_with_the_photo(self, tmp_path):
        path = save_photo(tmp_path / "photo.jpg", dpi=(300, 150), exif=exif(6))
        assert read_photo(path).dpi == (150, 300)

    def test_metadata_after_the_pixels_of_a_png(self, tmp_path):
        def chunk(kind, *data):
            made = tmp_path / "chunk"
            with made.open("wb") as file:
                PngImagePlugin.putchunk(file, kind, *data)
            return made.read_bytes()

        late = chunk(b"eXIf", exif(6)[6:]) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0", XMP)
        for dtype in (np.uint8, np.uint16):
            write_photo(tmp_path / "photo.png", Photo(UPRIGHT.astype(dtype)))
            whole = (tmp_path / "photo.png").read_bytes()
            (tmp_path / "photo.png").write_bytes(whole[:-12] + late + whole[-12:])
            photo = read_photo(tmp_path / "photo.png")
            assert photo.pixels.shape == (96, 64, 3)
            assert photo.xmp == XMP
            assert parsed(photo.exif)[ExifTags.Base.Make] == "Lookcam"

    def test_sizes_in_exif_follow_the_photo(self, tmp_path):
        deep = np.zeros((64, 96, 3), np.uint16)
        (tmp_path / "photo.png").write_bytes(png16(deep, 2))
        for name in ("photo.png", "photo.tif", "photo.jpg"):
            write_photo(tmp_path / name, Photo(deep.astype(np.uint8) if "jpg" in name else deep, exif=exif(6)))
            details = parsed(read_photo(tmp_path / name).exif).get_ifd(ExifTags.IFD.Exif)
            assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (64, 96)

    def test_an_invalid_orientation(self, tmp_path):
        assert read_photo(save_photo(tmp_path / "photo.jpg", exif=exif(9))).pixels.shape == (64, 96, 3)


class TestRoundTrip:
    """A photo with all metadata, written and read again, has everything that the format holds."""

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_keeps_all_metadata_of_the_format(self, tmp_path, suffix, dtype):
        pixels = UPRIGHT.astype(dtype) * (257 if dtype == np.uint16 else 1)
        path = tmp_path / f"photo{suffix}"
        write_photo(path, Photo(pixels, exif=exif(), xmp=XMP, iptc=IPTC, dpi=(300, 150)))
        photo = read_photo(path)
        assert photo.xmp == XMP
        assert parsed(photo.exif).get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.0)
        assert photo.iptc == (IPTC if suffix in (".jpg", ".jpeg", ".tif", ".tiff") else None)
        if suffix in (".webp", ".heic", ".heif"):
            assert photo.dpi is None
        else:
            assert np.allclose(photo.dpi, (300, 150), atol=0.02)
        again = read_photo(path)
        write_photo(path, again)
        assert [getattr(read_photo(path), name) for name in ("exif", "xmp", "iptc")] == [
            getattr(photo, name) for name in ("exif", "xmp", "iptc")
        ]

    def test_logs_dropped_metadata(self, tmp_path, caplog):
        photo = Photo(UPRIGHT, xmp=b"x" * 65505, iptc=b"i" * 65504)
        write_photo(tmp_path / "photo.jpg", photo)
        write_photo(tmp_path / "photo.webp", photo)
        assert [message.split(": ")[1] for message in caplog.messages] == [
            "65505 bytes of XMP are more than JPEG can store; left out",
            "65504 bytes of IPTC are more than JPEG can store; left out",
            "WEBP can't store IPTC; left out",
        ]
        caplog.clear()
        write_photo(tmp_path / "photo.jpg", Photo(UPRIGHT, xmp=b"x" * 65504, iptc=b"i" * 65503))
        assert not caplog.messages
        assert len(Image.open(tmp_path / "photo.jpg").info["xmp"]) == 65504
        assert read_photo(tmp_path / "photo.jpg").iptc == b"i" * 65503
