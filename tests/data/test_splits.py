from pathlib import Path

import pytest
from PIL import Image

from lookcast.checks import InputError
from lookcast.data.sources.folder import PhotoFolder, find_photos
from lookcast.data.sources.listing import PathList
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.splits import open_photos, split
from tests.runs import break_photo, save_masks, save_photos
from tests.shard_sets import save_folder, save_shards, save_striped_masks


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("twenty"), 25, (24, 20))


def folder(source, **options):
    return PhotoFolder(find_photos(source), **options)


def names(photos, numbers=None):
    return [photos.name(number)[-11:-4] for number in (range(len(photos)) if numbers is None else numbers)]


def numbered(*numbers):
    return [f"photo{number:02d}" for number in numbers]


class TestOpenPhotos:
    def test_known_value(self, twenty):
        photos = open_photos(str(twenty), "photos", None, 18)
        assert names(photos) == numbered(*range(25))
        assert photos.read(0).pixels.shape == (18, 22, 3)
        assert photos.read(0).labels is None

    def test_masks_in_the_folder_of_photos_are_no_photos(self, tmp_path):
        save_photos(tmp_path, 12)
        save_masks(tmp_path / "masks", 12)
        photos = open_photos(tmp_path, "photos", tmp_path / "masks", None)
        assert [photos.name(number) for number in range(len(photos))] == [
            str(tmp_path / f"photo{number:02d}.png") for number in range(12)
        ]
        assert isinstance(photos.photos, PathList)  # still the compact list
        assert (photos.read(3).labels[:32] == 0).all()

    def test_rejections_name_the_setting(self, tmp_path):
        with pytest.raises(InputError, match=r"^styles: .*nowhere does not exist$"):
            open_photos(tmp_path / "nowhere", "styles", None, None)
        with pytest.raises(InputError, match=r"^styles: the list is empty$"):
            open_photos([], "styles", None, None)
        photos, masks = save_photos(tmp_path / "photos", 3), save_masks(tmp_path / "masks", 1)
        with pytest.raises(InputError, match=r"^masks: 2 of 3 photos have no mask in "):
            open_photos(photos, "photos", masks, None)


class TestOpenShards:
    @pytest.fixture(scope="class")
    @classmethod
    def photos(cls, tmp_path_factory):
        return save_folder(tmp_path_factory.mktemp("photos"))

    @pytest.fixture(scope="class")
    @classmethod
    def masked(cls, tmp_path_factory, photos):
        masks = save_striped_masks(tmp_path_factory.mktemp("masks"), photos)
        return save_shards(tmp_path_factory.mktemp("masked") / "made", photos, masks)

    @pytest.fixture(scope="class")
    @classmethod
    def plain(cls, tmp_path_factory, photos):
        return save_shards(tmp_path_factory.mktemp("plain") / "made", photos)

    @pytest.mark.parametrize("spelled", [Path, str, lambda path: f"file://{path}"])
    def test_known_value(self, masked, spelled):
        photos = open_photos(spelled(masked), "photos", None, None)
        assert isinstance(photos, PhotoShards)
        assert photos.read(0).labels is None
        assert open_photos(spelled(masked), "photos", "stored", None).read(0).labels is not None

    def test_rejects_other_masks(self, photos, masked, plain, tmp_path):
        with pytest.raises(
            InputError, match=r"^masks: .*: styles are shards; masks=stored uses the masks inside the shards$"
        ):
            open_photos(masked, "styles", tmp_path, None)
        with pytest.raises(InputError, match=r"^masks: the shards .* were made without masks; see lookcast shard"):
            open_photos(plain, "photos", "stored", None)
        with pytest.raises(InputError, match=r"^masks: stored is for shards, but photos are files; name the folder"):
            open_photos(photos, "photos", "stored", None)


class TestSplit:
    @pytest.mark.parametrize(("num_val", "val_numbers"), [(8, [0, 12]), (1, [0]), (2, [0, 12])])
    def test_holds_out_at_most_a_tenth(self, twenty, num_val, val_numbers):
        photos = folder(twenty)
        train, val, numbers, held_out = split(photos, None, num_val)
        assert (val, list(numbers), held_out) == (photos, val_numbers, True)
        assert names(train) == numbered(*(number for number in range(25) if number not in val_numbers))

    def test_given_validation_photos_stay_as_they_are(self, twenty, tmp_path):
        photos, val_photos = folder(twenty), folder(save_photos(tmp_path, 3))
        assert split(photos, val_photos, 1) == (photos, val_photos, range(3), True)

    @pytest.mark.parametrize(
        ("count", "num_val", "val_numbers"), [(1, 8, [0]), (9, 8, [0, 1, 2, 3, 4, 5, 6, 7]), (9, 2, [0, 4])]
    )
    def test_few_photos_train_and_validate(self, tmp_path, count, num_val, val_numbers):
        photos = folder(save_photos(tmp_path, count))
        assert split(photos, None, num_val) == (photos, photos, val_numbers, False)

    def test_a_broken_photo_is_not_held_out(self, tmp_path):
        # As the only validation photo it would end the run at the first validation.
        found = find_photos(save_photos(tmp_path, 20))
        break_photo(found[0])
        found[1].write_text("no photo")
        Image.new("RGB", (1, 1)).save(found[10])
        train, val, val_numbers, _ = split(PhotoFolder(found), None, 8)
        assert names(val, val_numbers) == numbered(2, 11)
        assert names(train) == numbered(*(number for number in range(20) if number not in (2, 11)))

    def test_a_stretch_of_broken_photos_gives_none(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 20))
        for path in found:
            if path.stem < "photo10":
                break_photo(path)
        assert list(split(PhotoFolder(found), None, 8).val_numbers) == [10]

    def test_given_validation_photos_are_not_opened(self, twenty, tmp_path):
        found = find_photos(save_photos(tmp_path, 3))
        break_photo(found[1])
        assert list(split(folder(twenty), PhotoFolder(found), 1).val_numbers) == [0, 1, 2]

    @pytest.mark.parametrize("count", [3, 12])
    def test_rejects_only_broken_photos(self, tmp_path, count):
        for path in find_photos(save_photos(tmp_path, count)):
            break_photo(path)
        with pytest.raises(
            InputError, match=rf"^photos: none of the {count} photos can be read; first error: .*photo00"
        ):
            split(folder(tmp_path), None, 1)
