from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookcast.checks import InputError
from lookcast.data.sources import masks as masks_room
from lookcast.data.sources.folder import find_photos
from lookcast.data.sources.listing import PathList
from lookcast.data.sources.masks import check_masks, mask_path, read_labels, without_masks
from lookcast.ops.masks import PALETTE
from lookcast.photos.masks import read_mask
from lookcast.photos.read import PhotoError
from tests.runs import save_mask, save_masks, save_photos


@pytest.fixture
def photos(tmp_path):
    return find_photos(save_photos(tmp_path / "photos", 3, suffix=".jpg"))


class TestMaskPath:
    def test_known_value(self):
        assert mask_path(Path("a/b.c.jpeg"), "masks") == Path("masks/b.c.png")


class TestReadLabels:
    def test_known_value(self, tmp_path):
        # Each colour of the palette is a label.
        pixels = np.array([rgb for _, rgb in PALETTE], np.uint8)[None].repeat(4, 0)
        Image.fromarray(pixels).save(tmp_path / "mask.png")
        labels = read_labels(tmp_path / "mask.png", (4, 9))
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, np.arange(9)[None].repeat(4, 0))

    def test_matches_reference(self, tmp_path):
        path = save_mask(tmp_path / "mask.png", (33, 21), (250, 20, 10), (130, 120, 128))
        assert np.array_equal(read_labels(path, (42, 66)), read_mask(path, (42, 66)).numpy())
        assert set(np.unique(read_labels(path, (42, 66)))) == {4, 6}  # the nearest colours: red and grey

    def test_rejects_another_aspect_ratio(self, tmp_path):
        with pytest.raises(InputError, match=r"mask\.png: is 96x96 pixels, its photo 96x64: another aspect ratio"):
            read_labels(save_mask(tmp_path / "mask.png", (96, 96)), (64, 96))

    def test_rejects_broken_mask(self, tmp_path):
        with pytest.raises(PhotoError, match=r"mask\.png: no such photo"):
            read_labels(tmp_path / "mask.png", (64, 96))


class TestCheckMasks:
    def test_accepts_masks_that_fit(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 5)  # more than there are photos
        check_masks([photos[2], photos[0], photos[1]], str(masks))
        check_masks([photos[0], photos[0]], masks)  # one photo twice

    @pytest.mark.parametrize("size", [(48, 32), (960, 640), (97, 64)])
    def test_another_size_of_the_same_ratio(self, tmp_path, photos, size):
        check_masks(photos, save_masks(tmp_path / "masks", 3, size))

    def test_a_photo_with_an_orientation_tag(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 6
        Image.new("RGB", (96, 64)).save(tmp_path / "turned.jpg", exif=exif.tobytes())
        mask = save_mask(tmp_path / "masks" / "turned.png", (64, 96))
        check_masks([tmp_path / "turned.jpg"], mask.parent)
        save_mask(mask, (96, 64))
        with pytest.raises(InputError, match=r"turned\.png: is 96x64 pixels, its photo 64x96"):
            check_masks([tmp_path / "turned.jpg"], mask.parent)

    def test_ignores_an_unreadable_photo(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 3)
        photos[1].write_text("no photo")
        check_masks(photos, masks)

    def test_checks_the_sizes_of_the_first_masks(self, tmp_path, photos, monkeypatch):
        # Training skips later masks that do not fit.
        masks = save_masks(tmp_path / "masks", 3)
        save_mask(masks / "photo02.png", (96, 96))
        monkeypatch.setattr(masks_room, "NUM_CHECKED", 2)
        check_masks(photos, masks)
        monkeypatch.setattr(masks_room, "NUM_CHECKED", 3)
        with pytest.raises(InputError, match=r"photo02\.png: is 96x96 pixels"):
            check_masks(photos, masks)

    def test_rejects_another_aspect_ratio(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 3)
        save_mask(masks / "photo02.png", (96, 96))
        with pytest.raises(InputError, match=r"photo02\.png: is 96x96 pixels, its photo 96x64: another aspect ratio"):
            check_masks(photos, masks)

    def test_rejects_broken_mask(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 3)
        (masks / "photo01.png").write_text("no photo")
        with pytest.raises(PhotoError, match=r"photo01\.png: not a photo"):
            check_masks(photos, masks)

    def test_rejects_missing_folder(self, tmp_path, photos):
        with pytest.raises(InputError, match=r"^masks: .*nowhere is not a folder$"):
            check_masks(photos, tmp_path / "nowhere")

    def test_rejects_missing_masks(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 1)
        with pytest.raises(
            InputError, match=r"^masks: 2 of 3 photos have no mask in .*; the first missing file is photo01\.png$"
        ):
            check_masks(photos, masks)

    def test_rejects_two_photos_of_one_name(self, tmp_path, photos):
        # The mask could belong to either: the same name in two folders, or two formats of one photo.
        other = save_photos(tmp_path / "other", 1) / "photo00.png"
        masks = save_masks(tmp_path / "masks", 3)
        with pytest.raises(InputError, match=rf"^masks: {photos[0]} and {other} would share {masks}/photo00\.png"):
            check_masks([*photos, other], masks)


class TestWithoutMasks:
    def test_masks_inside_the_folder_of_photos(self, tmp_path):
        save_photos(tmp_path, 3)
        save_masks(tmp_path / "masks", 4)  # one more than there are photos
        photos = without_masks(find_photos(tmp_path), tmp_path / "masks")
        assert [path.relative_to(tmp_path).as_posix() for path in photos] == [f"photo0{n}.png" for n in range(3)]
        assert isinstance(photos, PathList)  # still the compact list

    def test_returns_the_same_list_if_it_has_no_masks(self, tmp_path):
        photos = find_photos(save_photos(tmp_path / "photos", 3))
        assert without_masks(photos, save_masks(tmp_path / "masks", 3)) is photos

    def test_a_list_of_files(self, tmp_path):
        photos = [*find_photos(save_photos(tmp_path / "photos", 2)), *find_photos(save_masks(tmp_path / "masks", 2))]
        assert without_masks(photos, tmp_path / "masks") == photos[:2]

    def test_masks_beside_their_photos(self, tmp_path):
        save_photos(tmp_path, 2, suffix=".jpg")
        save_masks(tmp_path, 2)
        photos = without_masks(find_photos(tmp_path), tmp_path)
        assert list(photos) == [tmp_path / "photo00.jpg", tmp_path / "photo01.jpg"]

    def test_another_spelling_of_the_folder(self, tmp_path, monkeypatch):
        save_photos(tmp_path, 1)
        save_masks(tmp_path / "masks", 1)
        monkeypatch.chdir(tmp_path)
        photos = without_masks(find_photos(tmp_path), "./masks/../masks")
        assert list(photos) == [tmp_path / "photo00.png"]

    def test_rejects_only_masks(self, tmp_path):
        save_masks(tmp_path, 2)
        with pytest.raises(InputError, match=r"^photos: all 2 files are masks in "):
            without_masks(find_photos(tmp_path), tmp_path)
