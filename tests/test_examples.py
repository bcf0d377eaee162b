import re

import pytest
from PIL import Image

from lookcast import examples

PHOTOS = [*examples.contents().values(), *examples.styles().values()]
FOLDER = PHOTOS[0].parents[1]


class TestExamples:
    def test_known_value(self):
        assert list(examples.contents()) == ["city", "lake", "people", "room"]
        assert list(examples.styles()) == ["autumn", "blue_hour", "desert", "night", "sunset", "winter"]

    @pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.stem)
    def test_photos_are_small_jpegs(self, photo):
        with Image.open(photo) as image:
            image.load()
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert 256 <= max(image.size) <= 1024

    def test_total_size_suits_a_wheel(self):
        assert sum(photo.stat().st_size for photo in PHOTOS) < 2_000_000

    def test_every_photo_is_credited_once(self):
        rows = re.findall(r"^\| `(\S+)` \| (.+) \| (.+) \| (.+) \|$", (FOLDER / "CREDITS.md").read_text(), re.MULTILINE)
        assert sorted(row[0] for row in rows) == sorted(str(photo.relative_to(FOLDER)) for photo in PHOTOS)
        assert all(len(author) > 5 and licence for _, _, author, licence in rows)
