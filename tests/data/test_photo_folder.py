import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import v2

from lookcast.checks import InputError
from lookcast.data import photo_folder
from lookcast.data.photo_folder import PhotoFolder, PhotoSample, collate, find_photos, read_pixels
from lookcast.data.samples import sample_path
from lookcast.data.transforms import training_transform, validation_transform
from lookcast.photos.files import PHOTO_SUFFIXES, PhotoError
from tests.runs import GREEN, break_photo, save_mask, save_photos

WHOLE = validation_transform(512)


def pixels(path):
    return planes(Image.open(path).convert("RGB"))


def planes(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


def same(content, expected):
    """Equal but for the last bit: torchvision multiplies by the float 1/255, here it is divided by 255."""
    return content.shape == expected.shape and torch.allclose(content, expected, rtol=0, atol=1e-7)


class TestFindPhotos:
    def test_known_value(self, tmp_path):
        for name in ("b.JPG", "a.png", "deep/er/c.webp", "deep/d.tiff", "notes.txt", "e.gif", "png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "folder.png").mkdir()
        expected = [tmp_path / name for name in ("a.png", "b.JPG", "deep/d.tiff", "deep/er/c.webp")]
        assert find_photos(tmp_path) == find_photos(str(tmp_path)) == expected

    def test_one_file(self, tmp_path):
        (tmp_path / "scan").write_bytes(b"")
        assert find_photos(tmp_path / "scan") == [tmp_path / "scan"]

    def test_sample(self):
        assert find_photos("sample:coffee") == [sample_path("coffee")]

    def test_list_keeps_its_order(self, tmp_path):
        save_photos(tmp_path / "folder", 2)
        found = find_photos(["sample:coffee", str(tmp_path / "folder"), tmp_path / "folder" / "photo01.png"])
        assert [path.name for path in found] == ["coffee.png", "photo00.png", "photo01.png", "photo01.png"]

    @pytest.mark.parametrize("name", ["photos", "style"])
    def test_rejects_what_does_not_exist(self, tmp_path, name):
        with pytest.raises(InputError, match=rf"^{name}: .*nowhere does not exist$"):
            find_photos([tmp_path / "nowhere"], name)

    def test_rejects_a_folder_without_photos(self, tmp_path):
        (tmp_path / "notes.txt").write_text("no photo")
        with pytest.raises(InputError, match=r"^photos: no photo in .*; looked in it and below it") as caught:
            find_photos(tmp_path)
        assert str(tmp_path) in str(caught.value)
        assert all(suffix in str(caught.value) for suffix in PHOTO_SUFFIXES)


class TestReadPixels:
    def test_known_value(self, tmp_path):
        path = save_photos(tmp_path, 1, (16, 17)) / "photo00.png"
        assert np.array_equal(read_pixels(path), skimage.data.astronaut()[:17, :16])

    @pytest.mark.parametrize("size", [(1, 1), (15, 200), (200, 15)])
    def test_rejects_small_photos(self, tmp_path, size):
        path = save_photos(tmp_path, 1, size) / "photo00.png"
        with pytest.raises(PhotoError, match=rf"photo00\.png: {size[0]}x{size[1]} pixels, too small"):
            read_pixels(path)


class TestPhotoFolder:
    def test_shape(self, tmp_path):
        photos = PhotoFolder(find_photos(save_photos(tmp_path, 3)), WHOLE)
        sample = photos[0]
        assert len(photos) == 3
        assert sample.content.shape == (3, 64, 96)
        assert type(sample.content) is torch.Tensor
        assert (sample.mask, sample.skipped) == (None, ())

    def test_known_value(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 3))
        photos = PhotoFolder(found, WHOLE)
        for index in range(3):
            assert same(photos[index].content, pixels(found[index]))

    def test_photos_repeat(self, tmp_path):
        photos = PhotoFolder(find_photos(save_photos(tmp_path, 3)), WHOLE, length=100)
        assert len(photos) == 100
        assert torch.equal(photos[98].content, photos[2].content)
        assert not torch.equal(photos[98].content, photos[0].content)

    @pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
    def test_any_mode(self, tmp_path, mode):
        photo = Image.fromarray(skimage.data.coffee()[100:164, 100:196])
        if mode == "I;16":
            stored = Image.fromarray(np.array(photo.convert("L")).astype(np.uint16) * 257)
        else:
            stored = photo.convert(mode)
        stored.save(tmp_path / "photo.tif")
        content = PhotoFolder([tmp_path / "photo.tif"], WHOLE)[0].content
        assert content.shape == (3, 64, 96)
        assert content.dtype == torch.float32
        # Each mode renders the photo in its own way, one of them in dots: over some pixels the brightness is the same.
        given, expected = (F.avg_pool2d(image.mean(0, keepdim=True), 8) for image in (content, planes(photo)))
        assert torch.corrcoef(torch.stack([given.flatten(), expected.flatten()]))[0, 1] > 0.97
        assert (given - expected).abs().mean() < 0.05

    def test_exif_orientation(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
        stored = Image.fromarray(skimage.data.astronaut()[:64, :96])
        stored.save(tmp_path / "turned.png", exif=exif.tobytes())
        expected = planes(stored.rotate(-90, expand=True))
        assert same(PhotoFolder([tmp_path / "turned.png"], WHOLE)[0].content, expected)

    def test_passes_over_what_cannot_be_read(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 5))
        break_photo(found[1])
        found[2].write_text("no photo")
        Image.new("RGB", (1, 1)).save(found[4])
        photos = PhotoFolder(found, WHOLE)
        whole = [same(photos[index].content, pixels(found[target])) for index, target in enumerate([0, 3, 3, 3])]
        assert whole == [True] * 4
        assert same(photos[4].content, pixels(found[0]))  # behind the last comes the first
        assert photos[0].skipped == photos[3].skipped == ()
        assert [line.split(": ")[0] for line in photos[1].skipped] == [str(found[1]), str(found[2])]
        assert photos[1].skipped[0].startswith(f"{found[1]}: broken or truncated")
        assert photos[2].skipped == (f"{found[2]}: not a photo, or of an unknown format",)
        assert photos[4].skipped == (f"{found[4]}: 1x1 pixels, too small to train on",)

    def test_a_file_that_has_gone_is_passed_over(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 2))
        photos = PhotoFolder(found, WHOLE)
        found[0].unlink()
        assert photos[0].skipped == (f"{found[0]}: no such photo",)
        assert same(photos[0].content, pixels(found[1]))

    def test_masks_belong_to_their_photos(self, tmp_path):
        found = find_photos(save_photos(tmp_path / "photos", 2))
        break_photo(found[0])
        masks = [save_mask(tmp_path / "0.png", (96, 64)), save_mask(tmp_path / "1.png", (96, 64), GREEN, GREEN)]
        photos = PhotoFolder(found, WHOLE, masks)
        # The mask of the photo that is taken, not of the one that was asked for.
        assert photos[0].mask.shape == (9, 64, 96)
        assert torch.equal(photos[0].mask[1], torch.ones(64, 96))

    def test_mask_follows_the_crop(self, tmp_path):
        # The photo is its own mask: what is cut out, mirrored and resized stays one.
        path = save_mask(tmp_path / "photo.png", (96, 64))
        photos = PhotoFolder([path], training_transform(40, (0.3, 1.0), 0), [path], length=20)
        torch.manual_seed(0)
        for index in range(20):
            content, mask, _ = photos[index]
            assert content.shape == (3, 40, 40)
            assert mask.shape == (9, 40, 40)
            assert torch.equal(mask.sum(0), torch.ones(40, 40))
            # Pixels halfway between the two colours, where the photo is interpolated and the mask is not, are few.
            agree = (mask[0] == 1) == (content[2] > content[1])
            assert agree.float().mean() > 0.97

    def test_mask_of_another_size(self, tmp_path):
        photo = save_mask(tmp_path / "photo.png", (96, 64))
        for size in ((192, 128), (48, 32)):
            mask = PhotoFolder([photo], WHOLE, [save_mask(tmp_path / "mask.png", size)])[0].mask
            assert torch.equal(mask[0, :32], torch.ones(32, 96))
            assert torch.equal(mask[1, 32:], torch.ones(32, 96))

    def test_rejects_mask_of_another_aspect_ratio(self, tmp_path):
        photo = save_mask(tmp_path / "photo.png", (96, 64))
        mask = save_mask(tmp_path / "mask.png", (96, 96))
        with pytest.raises(InputError, match=r"mask\.png: is 96x96 pixels, its photo 96x64: another aspect ratio"):
            PhotoFolder([photo], WHOLE, [mask])[0]

    def test_rejects_broken_mask(self, tmp_path):
        photo = save_mask(tmp_path / "photo.png", (96, 64))
        (tmp_path / "mask.png").write_text("no photo")
        with pytest.raises(PhotoError, match=r"mask\.png: not a photo"):
            PhotoFolder([photo], WHOLE, [tmp_path / "mask.png"])[0]

    def test_rejects_no_photos(self):
        with pytest.raises(InputError, match=r"^photos: the list is empty$"):
            PhotoFolder([], WHOLE)

    def test_rejects_only_broken_photos(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 3))
        for path in found:
            path.write_text("no photo")
        with pytest.raises(InputError, match=r"^photos: none of the 3 can be read, first .*photo01\.png: not a photo"):
            PhotoFolder(found, v2.Identity())[1]


class TestCache:
    """The first photos stay in memory, up to `cache_bytes`."""

    @pytest.fixture
    def reads(self, monkeypatch):
        """Photos that were read from their files."""
        seen = []
        monkeypatch.setattr(photo_folder, "read_pixels", lambda path: seen.append(path) or read_pixels(path))
        return seen

    @pytest.mark.parametrize(
        ("cache_bytes", "kept"), [(0, 0), (96 * 64 * 3 - 1, 0), (96 * 64 * 3, 1), (2 * 96 * 64 * 3 + 1, 2), (10**6, 3)]
    )
    def test_known_value(self, tmp_path, reads, cache_bytes, kept):
        found = find_photos(save_photos(tmp_path, 3))
        photos = PhotoFolder(found, WHOLE, cache_bytes=cache_bytes)
        for _ in range(2):
            assert all(same(photos[index].content, pixels(found[index])) for index in range(3))
        assert reads == [*found, *found[kept:]]

    def test_a_smaller_photo_still_fits(self, tmp_path, reads):
        large = save_photos(tmp_path / "large", 2) / "photo01.png"
        small = save_photos(tmp_path / "small", 1, (16, 16)) / "photo00.png"
        photos = PhotoFolder([large, large, small], WHOLE, cache_bytes=(96 * 64 + 16 * 16) * 3)
        for index in (0, 1, 2, 0, 1, 2):
            _ = photos[index]
        assert reads == [large, large, small, large]

    def test_what_is_kept_is_not_changed_by_a_transform(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 1))
        photos = PhotoFolder(found, training_transform(24, (0.3, 0.5), 0.4))
        for _ in range(3):
            photos[0].content.zero_()
        photos.transform = WHOLE
        assert same(photos[0].content, pixels(found[0]))


class TestCollate:
    def test_shape(self):
        samples = [PhotoSample(torch.rand(3, 8, 9), torch.rand(9, 8, 9), ()) for _ in range(2)]
        batch = collate(samples)
        assert batch.content.shape == (2, 3, 8, 9)
        assert batch.content_mask.shape == (2, 9, 8, 9)

    def test_known_value(self):
        first = PhotoSample(torch.zeros(3, 2, 2), None, ("a: broken",))
        second = PhotoSample(torch.ones(3, 2, 2), None, ("b: broken", "c: broken"))
        batch = collate([first, second])
        assert torch.equal(batch.content, torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)]))
        assert batch.content_mask is None
        assert batch.skipped == ("a: broken", "b: broken", "c: broken")
