import os
import pickle

import numpy as np
import pytest
import skimage.data
from PIL import Image

from lookcast.checks import InputError
from lookcast.data.sources.folder import MIN_SIDE, PhotoFolder, find_photos
from lookcast.data.sources.listing import PathList
from lookcast.data.sources.samples import sample_path
from lookcast.encoders import compact
from lookcast.encoders.vgg import STRIDES
from lookcast.photos.read import PHOTO_SUFFIXES, PhotoError, read_srgb
from tests.runs import GREEN, break_photo, save_mask, save_masks, save_photos


def stored(path):
    return np.array(Image.open(path).convert("RGB"))


class TestFindPhotos:
    def test_known_value(self, tmp_path):
        for name in ("b.JPG", "a.png", "deep/er/c.webp", "deep/d.tiff", "notes.txt", "e.gif", "png", ".f.png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "folder.png").mkdir()
        expected = [tmp_path / name for name in ("a.png", "b.JPG", "deep/d.tiff", "deep/er/c.webp")]
        assert list(find_photos(tmp_path)) == list(find_photos(str(tmp_path))) == expected

    def test_one_file(self, tmp_path):
        (tmp_path / "scan").write_bytes(b"")
        assert find_photos(tmp_path / "scan") == [tmp_path / "scan"]

    def test_sample(self):
        assert find_photos("sample:coffee") == [sample_path("coffee")]

    def test_list_keeps_its_order(self, tmp_path):
        save_photos(tmp_path / "folder", 2)
        found = find_photos(["sample:coffee", str(tmp_path / "folder"), tmp_path / "folder" / "photo01.png"])
        assert [path.name for path in found] == ["coffee.png", "photo00.png", "photo01.png", "photo01.png"]

    def test_a_list_of_one_folder_stays_small(self, tmp_path):
        found = find_photos([save_photos(tmp_path, 2)])
        assert isinstance(found, PathList)
        assert list(found) == list(find_photos(tmp_path))

    @pytest.mark.parametrize("name", ["photos", "style"])
    def test_rejects_what_does_not_exist(self, tmp_path, name):
        with pytest.raises(InputError, match=rf"^{name}: .*nowhere does not exist$"):
            find_photos([tmp_path / "nowhere"], name)

    def test_rejects_a_folder_without_photos(self, tmp_path):
        (tmp_path / "notes.txt").write_text("no photo")
        with pytest.raises(InputError, match=r"^photos: no photo in .* or its subfolders; accepted") as caught:
            find_photos(tmp_path)
        assert str(tmp_path) in str(caught.value)
        assert all(suffix in str(caught.value) for suffix in PHOTO_SUFFIXES)

    def test_rejects_a_folder_that_cannot_be_listed(self, tmp_path):
        # Nested folders whose path is longer than the system allows.
        inner = os.open(tmp_path, os.O_RDONLY)
        for _ in range(17):
            os.mkdir("d" * 250, dir_fd=inner)
            outer, inner = inner, os.open("d" * 250, os.O_RDONLY, dir_fd=inner)
            os.close(outer)
        os.close(inner)
        with pytest.raises(InputError, match=r"^styles: .*/d{250} can't be listed \(File name too long\)$"):
            find_photos(tmp_path, "styles")


class TestPhotoFolder:
    def test_known_value(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 3))
        photos = PhotoFolder(found)
        assert len(photos) == 3
        for number in range(3):
            pixels, labels = photos.read(number)
            assert pixels.dtype == np.uint8
            assert np.array_equal(pixels, stored(found[number]))
            assert labels is None
            assert photos.name(number) == str(tmp_path / f"photo0{number}.png")

    @pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
    def test_any_mode(self, tmp_path, mode):
        photo = Image.fromarray(skimage.data.coffee()[100:164, 100:196])
        if mode == "I;16":
            whole = Image.fromarray(np.array(photo.convert("L")).astype(np.uint16) * 257)
        else:
            whole = photo.convert(mode)
        whole.save(tmp_path / "photo.tif")
        pixels = PhotoFolder([tmp_path / "photo.tif"]).read(0).pixels
        assert pixels.shape == (64, 96, 3)
        assert pixels.dtype == np.uint8
        # Modes differ in single pixels (one has dots), but not in the mean brightness of an area.
        given, expected = (array.reshape(8, 8, 12, 8, 3).mean((1, 3, 4)) for array in (pixels, np.array(photo)))
        assert np.corrcoef(given.ravel(), expected.ravel())[0, 1] > 0.97
        assert abs(given - expected).mean() < 12

    def test_exif_orientation(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 6  # a viewer must rotate it by 90 degrees clockwise
        whole = Image.fromarray(skimage.data.astronaut()[:64, :96])
        whole.save(tmp_path / "turned.png", exif=exif.tobytes())
        pixels = PhotoFolder([tmp_path / "turned.png"]).read(0).pixels
        assert np.array_equal(pixels, np.array(whole.rotate(-90, expand=True)))

    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    def test_shrinks_while_decoding(self, tmp_path, suffix):
        found = find_photos(save_photos(tmp_path, 1, (400, 200), suffix))
        assert PhotoFolder(found, min_side=50).read(0).pixels.shape == (50, 100, 3)
        assert np.array_equal(PhotoFolder(found, min_side=50).read(0).pixels, read_srgb(found[0], min_side=50))
        assert PhotoFolder(found, min_side=201).read(0).pixels.shape == (200, 400, 3)  # never enlarged

    @pytest.mark.parametrize("size", [(1, 1), (15, 200), (200, 15)])
    def test_rejects_small_photos(self, tmp_path, size):
        photos = PhotoFolder(find_photos(save_photos(tmp_path, 1, size)))
        with pytest.raises(PhotoError, match=rf"^.*photo00\.png: {size[0]}x{size[1]} pixels, too small to train on$"):
            photos.read(0)
        assert min(PhotoFolder(find_photos(save_photos(tmp_path, 1, (16, 16)))).read(0).pixels.shape[:2]) == MIN_SIDE

    def test_rejects_what_cannot_be_read(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 3))
        break_photo(found[0])
        found[1].write_text("no photo")
        found[2].unlink()
        photos = PhotoFolder(found)
        for number, reason in enumerate(
            ["broken or truncated", "not a photo, or of an unknown format", "no such photo"]
        ):
            with pytest.raises(PhotoError) as caught:
                photos.read(number)
            assert str(caught.value).startswith(f"{found[number]}: {reason}")

    @pytest.mark.parametrize("photos", [[], PathList.of(sample_path("coffee").parent, [])])
    def test_rejects_no_photos(self, photos):
        with pytest.raises(InputError, match=r"^photos: the list is empty$"):
            PhotoFolder(photos)

    def test_pickles(self, tmp_path):
        photos = PhotoFolder(find_photos(save_photos(tmp_path, 2)), min_side=40)
        other = pickle.loads(pickle.dumps(photos))
        assert np.array_equal(other.read(1).pixels, photos.read(1).pixels)
        assert other.fingerprint == photos.fingerprint


class TestMasks:
    def test_labels(self, tmp_path):
        found = find_photos(save_photos(tmp_path / "photos", 2))
        masks = save_masks(tmp_path / "masks", 1)
        save_mask(masks / "photo01.png", (96, 64), GREEN, GREEN)
        photos = PhotoFolder(found, masks)
        labels = photos.read(0).labels
        assert labels.dtype == np.uint8
        assert labels.shape == (64, 96)
        assert (labels[:32] == 0).all()
        assert (labels[32:] == 1).all()
        assert (photos.read(1).labels == 1).all()

    @pytest.mark.parametrize("size", [(192, 128), (48, 32)])
    def test_another_size(self, tmp_path, size):
        found = find_photos(save_photos(tmp_path / "photos", 1))
        labels = PhotoFolder(found, save_masks(tmp_path / "masks", 1, size)).read(0).labels
        assert (labels[:32] == 0).all()
        assert (labels[32:] == 1).all()

    @pytest.mark.parametrize("size", [(400, 200), (201, 397), (511, 17), (333, 331)])
    def test_have_the_size_of_a_shrunk_photo(self, tmp_path, size):
        # Shrunk sides are rounded, but the mask still fits.
        found = find_photos(save_photos(tmp_path / "photos", 1, size))
        photo = PhotoFolder(found, save_masks(tmp_path / "masks", 1, size), min_side=16).read(0)
        height = photo.pixels.shape[0]
        assert photo.labels.shape == photo.pixels.shape[:2]
        assert min(photo.labels.shape) == 16
        assert (photo.labels[: height // 2 - 1] == 0).all()
        assert (photo.labels[height // 2 + 1 :] == 1).all()

    def test_rejects_another_aspect_ratio(self, tmp_path):
        found = find_photos(save_photos(tmp_path / "photos", 1))
        photos = PhotoFolder(found, save_masks(tmp_path / "masks", 1, (96, 96)))
        with pytest.raises(
            PhotoError, match=r"photo00\.png: is 96x96 pixels, its photo 96x64: another aspect"
        ) as caught:
            photos.read(0)
        assert str(caught.value).startswith(f"{found[0]}: ")  # training skips it under the photo's name

    def test_rejects_a_mask_that_is_a_photo(self, tmp_path):
        found = find_photos(save_photos(tmp_path / "photos", 1))
        save_photos(tmp_path / "masks", 1)
        with pytest.raises(PhotoError, match=r"masks/photo00\.png: .* are far from each of the nine colours"):
            PhotoFolder(found, tmp_path / "masks").read(0)

    def test_rejects_broken_mask(self, tmp_path):
        found = find_photos(save_photos(tmp_path / "photos", 1))
        masks = save_masks(tmp_path / "masks", 1)
        (masks / "photo00.png").write_text("no photo")
        with pytest.raises(PhotoError, match=r"masks/photo00\.png: not a photo"):
            PhotoFolder(found, masks).read(0)


class TestFingerprint:
    def test_known_values(self, tmp_path):
        # If these values changed, no earlier run could be resumed.
        found = find_photos(save_photos(tmp_path, 2))
        assert PhotoFolder(found).fingerprint == PhotoFolder(list(found)).fingerprint == "09941c38dd8b091e"

    def test_of_a_moved_folder(self, tmp_path):
        save_photos(tmp_path / "here" / "deeper", 3)
        before = PhotoFolder(find_photos(tmp_path / "here")).fingerprint
        (tmp_path / "here").rename(tmp_path / "there")
        assert PhotoFolder(find_photos(tmp_path / "there")).fingerprint == before

    def test_depends_on_names_and_order(self, tmp_path):
        save_photos(tmp_path, 4)
        found = list(find_photos(tmp_path))
        lists = [found, found[:3], found[1:], found[::-1], [*found, found[0]]]
        assert len({PhotoFolder(photos).fingerprint for photos in lists}) == len(lists)
        before = PhotoFolder(find_photos(tmp_path)).fingerprint
        found[3].rename(tmp_path / "photo04.png")
        assert PhotoFolder(find_photos(tmp_path)).fingerprint != before

    def test_depends_on_the_names_of_subfolders(self, tmp_path):
        save_photos(tmp_path / "a" / "x", 1)
        save_photos(tmp_path / "b" / "y", 1)
        assert len({PhotoFolder(find_photos(tmp_path / folder)).fingerprint for folder in "ab"}) == 2


class TestMinSide:
    def test_known_value(self):
        assert max(compact.MIN_SIDE, *STRIDES.values()) == MIN_SIDE == 16
