import os
import signal

import numpy as np
import pytest
from PIL import Image

from lookcast.photos.codecs.vips import decode
from lookcast.photos.photo import PhotoError
from lookcast.photos.read import Photo, read_photo, read_srgb, write_photo
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
        with Image.open(other) as image, pytest.raises(PhotoError, match=r"states the size 5x3 and another size$"):
            decode(path, image)

    def test_tries_no_other_format(self, tmp_path):
        path = save_photo(tmp_path / "photo.jpg")
        with Image.open(save_photo(tmp_path / "photo.png")) as image, pytest.raises(PhotoError, match="broken"):
            decode(path, image)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_workers_read_and_write(tmp_path):
    """Workers of a data loader read after their parent did; libvips with its threads would hang."""
    names = ("photo.jpg", "photo.png", "photo.tif")

    def work():
        for name in names:
            write_photo(tmp_path / name, Photo(UPRIGHT.astype(np.uint8 if "jpg" in name else np.uint16)))
            read_photo(tmp_path / name)
            read_srgb(tmp_path / name, min_side=UPRIGHT.shape[0] // 4)

    work()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
