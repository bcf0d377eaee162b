"""Damaged files are refused by name, or read leniently; intact files that are not quite in order are read."""

import io
import itertools
import struct

import numpy as np
import pytest
import simplejpeg
import skimage.data
from PIL import Image

from lookcast.photos.codecs.jpeg import decode_jpeg
from lookcast.photos.read import PhotoError, read_photo, read_srgb
from tests.photo_files import exif

PHOTOS = {"cat": skimage.data.chelsea(), "astronaut": skimage.data.astronaut(), "coffee": skimage.data.coffee()}
VISIBLE = 5  # levels


def jpeg(pixels, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **{"quality": 92, **options})
    return file.getvalue()


def zeroed(data, place, length):
    return data[:place] + bytes(length) + data[place + length :]


def dropped(data, place, length):
    return data[:place] + data[place + length :]


def cut(data, place, _):
    return data[:place] + b"\xff\xd9"


DAMAGES = [
    *((zeroed, length) for length in (16, 512, 2048)),
    *((dropped, length) for length in (64, 512, 2048)),
    (cut, 0),
]
PLACES = (0.15, 0.35, 0.55, 0.75, 0.9)


def visibly_damaged(original, damaged):
    """Decode as viewers do, which show what they can."""
    try:
        pixels = simplejpeg.decode_jpeg(damaged, "RGB", strict=False)
    except ValueError:
        return True
    return np.abs(pixels.astype(int) - simplejpeg.decode_jpeg(original, "RGB")).max() > VISIBLE


def is_refused(path):
    try:
        read_photo(path)
    except PhotoError:
        return True
    return False


class TestDamagedJpeg:
    def test_share_that_is_refused(self, tmp_path, capsys):
        """Every cut file and four in five others.

        The codes of a JPEG synchronise again after damage. Where the damaged stretch decodes, by chance, to as many
        blocks as before, no code is wrong and none is missing: no decoder that follows libjpeg can tell.
        """
        refused, visible = {}, {}
        for progressive in (False, True):
            for pixels in PHOTOS.values():
                data = jpeg(pixels, progressive=progressive)
                for damage, length in DAMAGES:
                    for place in PLACES:
                        damaged = damage(data, int(place * len(data)), length)
                        if not visibly_damaged(data, damaged):
                            continue
                        (tmp_path / "photo.jpg").write_bytes(damaged)
                        visible[damage] = visible.get(damage, 0) + 1
                        refused[damage] = refused.get(damage, 0) + is_refused(tmp_path / "photo.jpg")
        with capsys.disabled():
            print(f"\nrefused {sum(refused.values())} of {sum(visible.values())} visibly damaged JPEGs")
        assert sum(visible.values()) > 180
        assert refused[cut] == visible[cut]
        assert sum(refused.values()) > 0.8 * sum(visible.values())

    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize(("damage", "length"), [(zeroed, 2048), (dropped, 2048), (cut, 0)])
    def test_every_reader_refuses_it(self, tmp_path, mode, progressive, damage, length):
        data = jpeg(PHOTOS["astronaut"], mode, progressive=progressive)
        path = tmp_path / "photo.jpg"
        path.write_bytes(damage(data, len(data) // 4, length))
        for read in (read_photo, read_srgb, lambda path: read_srgb(path, min_side=100)):
            with pytest.raises(PhotoError, match=r"photo\.jpg: broken or truncated \([^\n]+\)$"):
                read(path)

    def test_zeros_at_the_end_are_no_padding(self, tmp_path):
        data = jpeg(PHOTOS["cat"])
        (tmp_path / "photo.jpg").write_bytes(data[:-202] + bytes(200) + data[-2:])
        with pytest.raises(PhotoError, match="broken or truncated"):
            read_photo(tmp_path / "photo.jpg")

    def test_a_thousand_empty_scans(self, tmp_path):
        """Each scan of a progressive file takes as long as a photo, and may have a few bytes only."""
        data = jpeg(PHOTOS["cat"], progressive=True)
        last = data.rindex(b"\xff\xda")
        (tmp_path / "photo.jpg").write_bytes(data[:last] + data[last:-2] * 1000 + b"\xff\xd9")
        with pytest.raises(PhotoError, match=r"photo\.jpg: broken, more than 200 scans$"):
            read_photo(tmp_path / "photo.jpg")


class TestLenient:
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_jpeg(self, tmp_path, orientation):
        path, data = tmp_path / "photo.jpg", jpeg(PHOTOS["cat"], exif=exif(orientation))
        path.write_bytes(data)
        whole = read_photo(path, lenient=True)
        assert whole.damage is None
        path.write_bytes(cut(data, len(data) // 2, 0))
        photo = read_photo(path, lenient=True)
        assert "premature end of data" in photo.damage
        assert "\n" not in photo.damage
        assert photo.exif == whole.exif
        same = (photo.pixels == whole.pixels).all(-1)
        assert 0.3 < same.mean() < 0.7
        rows = same.all(1) if orientation == 1 else same.all(0)[::-1]
        assert rows[:100].all()

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_others(self, tmp_path, suffix):
        path = tmp_path / f"photo.{suffix}"
        Image.fromarray(PHOTOS["cat"]).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(PhotoError, match="truncated"):
            read_photo(path)
        photo = read_photo(path, lenient=True)
        assert "truncated" in photo.damage
        assert np.array_equal(photo.pixels[:100], PHOTOS["cat"][:100])

    def test_nothing_to_read(self, tmp_path):
        (tmp_path / "photo.jpg").write_bytes(jpeg(PHOTOS["cat"])[:100])
        with pytest.raises(PhotoError):
            read_photo(tmp_path / "photo.jpg", lenient=True)

    def test_an_error_names_its_own_file_only(self, tmp_path):
        """libvips collects the errors of all files."""
        for name in ("first.tif", "second.tif"):
            Image.fromarray(PHOTOS["cat"][..., 0].astype(np.uint16) * 257).save(tmp_path / name)
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100_000])
        read_photo(tmp_path / "first.tif", lenient=True)
        with pytest.raises(PhotoError) as error:
            read_photo(tmp_path / "second.tif")
        assert "first.tif" not in str(error.value)
        assert len(str(error.value)) < 300


class TestOddJpeg:
    """Files of cameras and phones that are not quite in order, but intact."""

    DATA = jpeg(PHOTOS["cat"])
    RESTARTS = jpeg(PHOTOS["cat"], restart_marker_rows=4)
    PROGRESSIVE = jpeg(PHOTOS["cat"], progressive=True)

    @staticmethod
    def before(marker, extra, data):
        place = data.index(marker)
        return data[:place] + extra + data[place:]

    @pytest.mark.parametrize(
        "odd",
        [
            before(b"\xff\xc0", b"junk", DATA),
            before(b"\xff\xda", bytes(7), DATA),
            before(b"\xff\xc0", b"\xff\xff\xff", DATA),
            DATA[:-2] + bytes(40) + b"\xff\xd9",
            DATA[:-2] + b"\xff" * 9 + b"\xff\xd9",
            PROGRESSIVE[:-2] + bytes(40) + b"\xff\xd9",
            DATA + b"a film, or the next picture \xff\xd8\xff\xda\xff\xd9" * 99,
            before(b"\xff\xd0", bytes(5), RESTARTS),
            before(b"\xff\xd1", bytes(3), before(b"\xff\xd0", bytes(5), RESTARTS)),
        ],
        ids=[
            "bytes before the frame",
            "zeros before the scan",
            "fill bytes",
            "padding",
            "fill bytes at the end",
            "padding of a progressive file",
            "data after the end",
            "padding before a restart",
            "padding before two restarts",
        ],
    )
    def test_is_read(self, tmp_path, odd):
        path = tmp_path / "photo.jpg"
        path.write_bytes(odd)
        original = self.PROGRESSIVE if b"\xff\xc2" in odd[:700] else self.RESTARTS if b"\xff\xdd" in odd else self.DATA
        with Image.open(path) as image, Image.open(io.BytesIO(original)) as expected:
            assert np.array_equal(decode_jpeg(path, image), np.asarray(expected))

    def test_a_last_byte_of_0xff_before_padding(self, tmp_path):
        """0xFF is stored as 0xFF 0: that zero is no padding."""
        places = itertools.product(range(0, 290, 3), range(0, 440, 8))
        crops = (jpeg(PHOTOS["cat"][row : row + 8, column : column + 8], "L") for row, column in places)
        data = next(data for data in crops if data.endswith(b"\xff\x00\xff\xd9"))
        (tmp_path / "photo.jpg").write_bytes(data[:-2] + bytes(9) + b"\xff\xd9")
        assert read_photo(tmp_path / "photo.jpg").pixels.shape == (8, 8, 3)


class TestSizesThatAreClaimed:
    @staticmethod
    def claiming(side, **options):
        data = bytearray(jpeg(PHOTOS["cat"][:64, :64], **options))
        frame = data.index(b"\xff\xc2" if options else b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">2H", side, side)
        return bytes(data)

    @pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
    def test_refused_by_the_header(self, tmp_path, options):
        (tmp_path / "photo.jpg").write_bytes(self.claiming(22300, **options))
        with pytest.raises(PhotoError) as error:
            read_photo(tmp_path / "photo.jpg")
        assert str(error.value) == (
            f"{tmp_path / 'photo.jpg'}: too large, 22300x22300 = 497290000 pixels, more than the limit of 200000000; "
            "--max-pixels changes the limit"
        )

    @pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
    def test_refused_by_the_data(self, tmp_path, options):
        (tmp_path / "photo.jpg").write_bytes(self.claiming(2000, **options))
        with pytest.raises(PhotoError, match="premature end of data"):
            read_photo(tmp_path / "photo.jpg")
