import pickle

import numpy as np
import pytest

from lookcast.data.sources.base import CachedPhotos, Subset
from lookcast.data.sources.folder import PhotoFolder, find_photos
from lookcast.photos.read import PhotoError
from tests.runs import break_photo, save_masks, save_photos


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("twenty"), 25, (24, 20))


def folder(source, **options):
    return PhotoFolder(find_photos(source), **options)


def names(photos, numbers=None):
    return [photos.name(number)[-11:-4] for number in (range(len(photos)) if numbers is None else numbers)]


def numbered(*numbers):
    return [f"photo{number:02d}" for number in numbers]


class TestSubset:
    @pytest.mark.parametrize("left_out", [[], [0], [24], [0, 1, 2], [3, 4, 9, 24], list(range(24)), [0, 12]])
    def test_matches_reference(self, twenty, left_out):
        photos = Subset(folder(twenty), left_out)
        kept = [number for number in range(25) if number not in left_out]
        assert len(photos) == len(kept)
        assert names(photos) == numbered(*kept)
        assert np.array_equal(photos.read(0).pixels, folder(twenty).read(kept[0]).pixels)

    def test_fingerprint(self, twenty):
        photos = folder(twenty)
        sets = [photos, *(Subset(photos, left_out) for left_out in ([0], [1], [0, 1], [1, 2], [0, 12], [0, 13]))]
        assert len({photos.fingerprint for photos in sets}) == len(sets)
        assert Subset(photos, [0, 12]).fingerprint == sets[5].fingerprint

    def test_pickles(self, twenty):
        assert names(pickle.loads(pickle.dumps(Subset(folder(twenty), range(20))))) == numbered(*range(20, 25))


class TestCachedPhotos:
    BYTES = 24 * 20 * 3

    class Counted(PhotoFolder):
        """A folder that records the numbers of its reads."""

        def read(self, number):
            self.__dict__.setdefault("reads", []).append(number)
            return super().read(number)

    @pytest.fixture
    def three(self, twenty):
        return self.Counted(list(find_photos(twenty))[:3])

    @pytest.mark.parametrize(
        ("max_bytes", "kept"), [(0, 0), (BYTES - 1, 0), (BYTES, 1), (2 * BYTES + 1, 2), (3 * BYTES, 3), (10**6, 3)]
    )
    def test_known_value(self, three, max_bytes, kept):
        photos = CachedPhotos(three, max_bytes)
        for _ in range(2):
            for number in range(3):
                assert np.array_equal(photos.read(number).pixels, PhotoFolder(three.photos).read(number).pixels)
        assert three.reads == [0, 1, 2, *range(kept, 3)]

    def test_a_smaller_photo_still_fits(self, tmp_path):
        large = save_photos(tmp_path / "large", 2)
        small = save_photos(tmp_path / "small", 1, (16, 16))
        source = self.Counted(find_photos([large, small]))
        photos = CachedPhotos(source, (96 * 64 + 16 * 16) * 3)
        for number in (0, 1, 2, 0, 1, 2):
            photos.read(number)
        assert source.reads == [0, 1, 2, 1]

    def test_labels_count(self, tmp_path):
        source = self.Counted(find_photos(save_photos(tmp_path / "photos", 2)), save_masks(tmp_path / "masks", 2))
        photos = CachedPhotos(source, 96 * 64 * 7)
        for number in (0, 1, 0, 1):
            assert photos.read(number).labels.shape == (64, 96)
        assert source.reads == [0, 1, 1]

    def test_a_broken_photo_stays_broken(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 1))
        break_photo(found[0])
        photos = CachedPhotos(PhotoFolder(found), 10**6)
        for _ in range(2):
            with pytest.raises(PhotoError, match="broken or truncated"):
                photos.read(0)

    def test_has_the_names_of_its_source(self, three):
        photos = CachedPhotos(three, 10**6)
        assert len(photos) == 3
        assert photos.fingerprint == three.fingerprint
        assert names(photos) == names(three)
