"""Files made to cost time or memory, and names and devices that are no photos."""

import os
import re
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lookcast.checks import InputError
from lookcast.photos.adapters import open_image
from lookcast.photos.exif import make_upright
from lookcast.photos.metadata import without_untrue
from lookcast.photos.read import MAX_PIXELS, PhotoError, read_photo
from tests.photo_files import UPRIGHT, exif, save_photo

MEGABYTES = 2_000_000
SECONDS = 5
"""Linear time needs a hundredth of it for two megabytes, quadratic time five to fifty times as much."""


class TestXmp:
    @pytest.mark.parametrize(
        "repeated",
        [
            b"<xmp:Thumbnails ",
            b"<xap:Thumbnails>",
            b"<tiff:Orientation>",
            b"<Container:Directory ",
            b"<GContainer:Directory>",
            b"<xmp:Thumbnails <xap:Thumbnails <tiff:Orientation>",
            b" hdrgm:a",
            b' hdrgm:a="',
            b" hdrgm:a='",
            b" GCamera:a=\"' ",
            b' tiff:Orientation="',
            b" ",
            b"<",
            b"a",
        ],
    )
    def test_time_is_linear(self, repeated):
        xmp = repeated * (MEGABYTES // len(repeated))
        start = time.monotonic()
        rest = without_untrue(xmp)
        assert time.monotonic() - start < SECONDS
        assert len(rest) <= len(xmp)

    def test_two_megabytes_in_a_photo(self, tmp_path):
        info = PngImagePlugin.PngInfo()
        # Pillow reads at most a megabyte of text in one chunk.
        info.add_itxt("XML:com.adobe.xmp", "<xmp:Thumbnails " * 60_000)
        path = save_photo(tmp_path / "photo.png", pnginfo=info)
        start = time.monotonic()
        assert read_photo(path).xmp == b"<xmp:Thumbnails " * 60_000
        assert time.monotonic() - start < SECONDS

    def test_known_value(self):
        xmp = b"<a><xmp:Thumbnails>1<tiff:Orientation>6</tiff:Orientation></xmp:Thumbnails><tiff:Orientation>3<b/>"
        assert without_untrue(xmp) == b"<a><tiff:Orientation>3<b/>"

    def test_matches_the_pattern_of_whole_elements(self):
        """The result equals that of one regular expression, which takes quadratic time, on mixtures of all parts."""
        pattern = re.compile(
            rb"<tiff:Orientation>.*?</tiff:Orientation>"
            rb"|<(?P<element>(?:xmp|xap):Thumbnails|Container:Directory|GContainer:Directory)[\s/>].*?</(?P=element)>",
            re.DOTALL,
        )
        parts = [
            f"<{end}{name}>".encode()
            for end in ("", "/")
            for name in (
                "tiff:Orientation",
                "xmp:Thumbnails",
                "xap:Thumbnails",
                "Container:Directory",
                "GContainer:Directory",
                "x",
            )
        ]
        random = np.random.default_rng(0)
        for _ in range(300):
            xmp = b" ".join(parts[number] for number in random.integers(0, len(parts), 12))
            assert without_untrue(xmp) == pattern.sub(b"", xmp)


class TestExif:
    def test_names_without_end(self):
        start = time.monotonic()
        assert make_upright(b"Exif\0\0" * (MEGABYTES // 6) + exif(3)[6:], (96, 64)) == (3, exif(1))
        assert time.monotonic() - start < SECONDS

    @pytest.mark.parametrize("entries", [1001, 65535])
    def test_rejects_directories_without_end(self, entries):
        data = b"II*\0" + struct.pack("<IH", 8, entries) + bytes(12 * entries + 4)
        with pytest.raises(ValueError, match=f"a directory of {entries} entries"):
            make_upright(data, (96, 64))

    def test_a_directory_that_is_its_own_successor(self):
        data = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<2HIII", 0x8769, 4, 1, 8, 8)
        assert make_upright(data, (96, 64))[0] == 1

    def test_a_tiff_of_endless_pages(self, tmp_path):
        """Two hundred thousand empty directories: counting them takes quadratic time."""
        path = save_photo(tmp_path / "photo.tif")
        data = bytearray(path.read_bytes())
        (first,) = struct.unpack_from("<I", data, 4)
        (count,) = struct.unpack_from("<H", data, first)
        struct.pack_into("<I", data, first + 2 + 12 * count, len(data))
        pages = 200_000
        for page in range(pages):
            following = len(data) + 6 if page < pages - 1 else 0
            data += struct.pack("<HI", 0, following)
        path.write_bytes(data)
        start = time.monotonic()
        assert np.array_equal(read_photo(path).pixels, UPRIGHT)
        assert time.monotonic() - start < SECONDS


def one_bit_png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)
    compressor = zlib.compressobj(9)
    rows = b"".join(compressor.compress(bytes(1 + (side + 7) // 8)) for _ in range(side)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class TestMemory:
    def test_the_default_limit(self, tmp_path):
        assert MAX_PIXELS == 200_000_000
        (tmp_path / "photo.png").write_bytes(one_bit_png(20000))
        assert (tmp_path / "photo.png").stat().st_size < 50_000
        with pytest.raises(PhotoError, match="= 400000000 pixels, more than the limit of 200000000; --max-pixels"):
            read_photo(tmp_path / "photo.png")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
    def test_bytes_a_pixel(self, tmp_path):
        """At most twice the memory of the result; RGB in Pillow would add 4 bytes a pixel, int64 24."""
        side = 5000
        (tmp_path / "1 bit.png").write_bytes(one_bit_png(side))
        Image.new("P", (side, side)).save(tmp_path / "palette.png")
        (tmp_path / "16 bits.png").write_bytes(imagecodecs.png_encode(np.zeros((side, side, 3), np.uint16), 1))
        Image.new("F", (side, side), 0.5).save(tmp_path / "float.tif")
        paths = sorted(path for path in tmp_path.iterdir())
        program = (
            "import os, resource, sys, pyvips\n"
            "from lookcast.photos.read import read_photo\n"
            "for path in sys.argv[1:]:\n"
            "    if os.fork() == 0:\n"  # a separate process has a separate peak
            "        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "        size = read_photo(path).pixels.nbytes\n"
            "        print(size, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before), flush=True)\n"
            "        os._exit(0)\n"
            "    os.wait()\n"
        )
        done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True)
        results = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        assert [size // (3 * side**2) for size, _ in results] == [1, 2, 2, 1]
        for path, (size, grown) in zip(paths, results, strict=True):
            assert size < grown < 2 * size + 60_000_000, path.name

    def test_data_after_a_jpeg_are_not_read(self, tmp_path):
        path = save_photo(tmp_path / "photo.jpg")
        expected = read_photo(path).pixels
        os.truncate(path, 8 << 30)  # a hole, which takes no room on the disk
        tracemalloc.start()
        assert np.array_equal(read_photo(path).pixels, expected)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100_000_000


class TestNamesAndDevices:
    def test_rejects_a_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "photo.jpg")
        with pytest.raises(PhotoError, match=r"photo\.jpg: is a pipe or a device, expected a photo in a regular file$"):
            read_photo(tmp_path / "photo.jpg")

    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
    def test_rejects_devices(self, device):
        with pytest.raises(PhotoError, match=f"^{device}: is a pipe or a device"):
            read_photo(device)

    @pytest.mark.parametrize("name", ["n" * 256 + ".jpg", "ä" * 200 + ".jpg", "null\0byte.jpg"])
    def test_rejects_names_that_the_system_refuses(self, tmp_path, name):
        with pytest.raises(PhotoError) as error:
            read_photo(tmp_path / name)
        assert "can't be read (" in str(error.value)
        assert "\n" not in str(error.value)


class TestClosedImages:
    def test_rejects_a_closed_image(self, tmp_path):
        image = Image.open(save_photo(tmp_path / "photo.png"))
        image.close()
        with pytest.raises(InputError, match=r"^content: this PIL image can't be read \([^\n]+\)$"):
            open_image("content", image)

    def test_rejects_a_truncated_image(self, tmp_path):
        path = save_photo(tmp_path / "photo.png")
        path.write_bytes(path.read_bytes()[:3000])
        with Image.open(path) as image, pytest.raises(InputError, match=r"^style: this PIL image can't be read"):
            open_image("style", image)
