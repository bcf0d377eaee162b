import struct

import pytest
from PIL import ExifTags, Image

from lookcast.photos.exif import make_upright
from lookcast.photos.read import read_photo, write_photo
from tests.photo_files import exif, parsed, save_photo

NOTE = b"Maker\0" + struct.pack(">I", 0) + b"what only the maker understands"


def camera_exif(order, orientation=6, preview_last=True):
    """EXIF of a camera: a maker's note that holds its own position, and a preview in a second directory."""

    def directory(place, *entries):
        """Write entries (tag, type, count, value as bytes) and the position of the next directory."""
        *entries, following = entries
        body = struct.pack(f"{order}H", len(entries))
        for tag, kind, count, value in entries:
            body += struct.pack(f"{order}2HI", tag, kind, count) + value.ljust(4, b"\0")
        data[place : place + len(body) + 4] = body + struct.pack(f"{order}I", following)

    def short(value):
        return struct.pack(f"{order}H", value)

    def long(value):
        return struct.pack(f"{order}I", value)

    data = bytearray(400)
    data[:8] = (b"II*\0" if order == "<" else b"MM\0*") + long(8)
    directory(8, (0x010F, 2, 8, long(200)), (0x0112, 3, 1, short(orientation)), (0x8769, 4, 1, long(60)), 150)
    directory(60, (0x927C, 7, 50, long(210)), (0xA002, 4, 1, long(96)), (0xA003, 3, 1, short(64)), 0)
    directory(150, (0x0201, 4, 1, long(300)), (0x0202, 4, 1, long(100)), 0)
    data[200:208] = b"Lookcam\0"
    data[210:214] = long(210)
    data[300:400] = b"the old look".ljust(100, b"!")
    return b"Exif\0\0" + bytes(data) + (b"" if preview_last else b"tail")


class TestMakeUpright:
    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("preview_last", [True, False])
    def test_known_value(self, order, preview_last):
        before = camera_exif(order, 6, preview_last)
        orientation, after = make_upright(before, (96, 64))
        assert orientation == 6
        assert b"the old look" not in after
        tags = parsed(after)
        assert tags[ExifTags.Base.Orientation] == 1
        assert tags.get_ifd(ExifTags.IFD.IFD1) == {}
        details = tags.get_ifd(ExifTags.IFD.Exif)
        assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (64, 96)
        changed = [place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
        # Orientation, the way to the second directory, the two sides, the preview: counted from the end of `Exif`.
        allowed = {*range(30, 32), *range(46, 50), *range(82, 86), *range(94, 98), *range(300, 400)}
        assert {place - 6 for place in changed} <= allowed
        assert len(after) == (306 if preview_last else len(before))

    def test_the_makers_note_keeps_its_position(self, tmp_path):
        write_photo(tmp_path / "out.jpg", read_photo(save_photo(tmp_path / "in.jpg", exif=camera_exif("<"))))
        written = Image.open(tmp_path / "out.jpg").info["exif"]
        (place,) = struct.unpack_from("<I", written, 6 + 210)
        assert place == 210

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_an_invalid_orientation(self, orientation):
        assert make_upright(camera_exif(">", orientation), (96, 64))[0] == 1

    def test_with_or_without_its_name(self):
        assert make_upright(exif(3)[6:], (96, 64)) == make_upright(exif(3), (96, 64)) == (3, exif(1))

    @pytest.mark.parametrize("length", [0, 5, 12, 20, 40, 80, 110])
    def test_rejects_truncated(self, length):
        with pytest.raises((ValueError, KeyError, struct.error)):
            make_upright(camera_exif("<")[:length], (96, 64))
