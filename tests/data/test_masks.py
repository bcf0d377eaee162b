from pathlib import Path

import pytest
from PIL import Image

from lookcast.checks import InputError
from lookcast.data.masks import find_masks, mask_path, without_masks
from lookcast.data.photo_folder import find_photos
from lookcast.photos.files import PhotoError
from tests.runs import save_mask, save_masks, save_photos


@pytest.fixture
def photos(tmp_path):
    return find_photos(save_photos(tmp_path / "photos", 3, suffix=".jpg"))


class TestMaskPath:
    def test_known_value(self):
        assert mask_path(Path("a/b.c.jpeg"), "masks") == Path("masks/b.c.png")


class TestFindMasks:
    def test_known_value(self, tmp_path, photos):
        save_masks(tmp_path / "masks", 5)
        expected = [tmp_path / "masks" / f"photo0{number}.png" for number in (2, 0, 1)]
        assert find_masks([photos[2], photos[0], photos[1]], str(tmp_path / "masks")) == expected

    def test_one_photo_twice(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 1)
        assert find_masks([photos[0], photos[0]], masks) == [masks / "photo00.png"] * 2

    @pytest.mark.parametrize("size", [(48, 32), (960, 640), (97, 64)])
    def test_another_size_of_the_same_ratio(self, tmp_path, photos, size):
        masks = save_masks(tmp_path / "masks", 3, size)
        assert find_masks(photos, masks) == sorted(masks.iterdir())

    def test_a_photo_that_the_camera_turned(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 6
        Image.new("RGB", (96, 64)).save(tmp_path / "turned.jpg", exif=exif.tobytes())
        mask = save_mask(tmp_path / "masks" / "turned.png", (64, 96))
        assert find_masks([tmp_path / "turned.jpg"], mask.parent) == [mask]
        save_mask(mask, (96, 64))
        with pytest.raises(InputError, match=r"turned\.png: is 96x64 pixels, its photo 64x96"):
            find_masks([tmp_path / "turned.jpg"], mask.parent)

    def test_a_photo_that_cannot_be_read_is_left_to_the_training(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 3)
        photos[1].write_text("no photo")
        assert find_masks(photos, masks) == sorted(masks.iterdir())

    def test_rejects_another_aspect_ratio(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 3)
        save_mask(masks / "photo02.png", (96, 96))
        with pytest.raises(InputError, match=r"photo02\.png: is 96x96 pixels, its photo 96x64: another aspect ratio"):
            find_masks(photos, masks)

    def test_rejects_broken_mask(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 3)
        (masks / "photo01.png").write_text("no photo")
        with pytest.raises(PhotoError, match=r"photo01\.png: not a photo"):
            find_masks(photos, masks)

    def test_rejects_missing_folder(self, tmp_path, photos):
        with pytest.raises(InputError, match=r"^masks: .*nowhere is not a folder$"):
            find_masks(photos, tmp_path / "nowhere")

    def test_rejects_missing_masks(self, tmp_path, photos):
        masks = save_masks(tmp_path / "masks", 1)
        with pytest.raises(InputError, match=r"^masks: 2 of 3 photos have none in .*, the first .* is photo01\.png$"):
            find_masks(photos, masks)

    def test_rejects_two_photos_of_one_name(self, tmp_path, photos):
        # Either mask could be meant: photos of one name in two folders, or a photo and its other rendering.
        other = save_photos(tmp_path / "other", 1) / "photo00.png"
        masks = save_masks(tmp_path / "masks", 3)
        with pytest.raises(InputError, match=rf"^masks: {photos[0]} and {other} would share {masks}/photo00\.png"):
            find_masks([*photos, other], masks)


class TestWithoutMasks:
    def test_masks_inside_the_folder_of_photos(self, tmp_path):
        save_photos(tmp_path, 3)
        save_masks(tmp_path / "masks", 4)  # one more than there are photos
        photos = without_masks(find_photos(tmp_path), tmp_path / "masks")
        assert [path.relative_to(tmp_path).as_posix() for path in photos] == [f"photo0{n}.png" for n in range(3)]

    def test_masks_beside_their_photos(self, tmp_path):
        save_photos(tmp_path, 2, suffix=".jpg")
        save_masks(tmp_path, 2)
        assert without_masks(find_photos(tmp_path), tmp_path) == [tmp_path / "photo00.jpg", tmp_path / "photo01.jpg"]

    def test_another_spelling_of_the_folder(self, tmp_path, monkeypatch):
        save_photos(tmp_path, 1)
        save_masks(tmp_path / "masks", 1)
        monkeypatch.chdir(tmp_path)
        assert without_masks(find_photos(tmp_path), "./masks/../masks") == [tmp_path / "photo00.png"]

    def test_rejects_only_masks(self, tmp_path):
        save_masks(tmp_path, 2)
        with pytest.raises(InputError, match=r"^photos: all 2 of them are masks in "):
            without_masks(find_photos(tmp_path), tmp_path)
