import pickle
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.data import dataset
from lookcast.data.dataset import TrainPairs, TrainPhotos, ValPairs, ValPhotos, torch_seed
from lookcast.data.sources.base import CachedPhotos, DecodedPhoto
from lookcast.data.sources.folder import PhotoFolder, find_photos
from tests.runs import break_photo, save_mask, save_masks, save_photos

WHOLE = (1.0, 1.0)
"""Scale whose windows are whole square photos."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return CachedPhotos(PhotoFolder(find_photos(save_photos(tmp_path_factory.mktemp("photos"), 12, (48, 48)))), 10**6)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return CachedPhotos(PhotoFolder(find_photos(save_photos(tmp_path_factory.mktemp("others"), 4, (40, 40)))), 10**6)


class Positions:
    """A source of one photo, given as pixels."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return 1

    def name(self, number):
        return "positions"

    def read(self, number):
        return DecodedPhoto(self.pixels, None)


def same(first, second):
    """Return whether two samples are equal in all fields."""
    return torch.equal(first.pixels, second.pixels) and first[2:] == second[2:]


def which(sample, photos):
    """Return the number of the photo in a whole window."""
    shown = [torch.from_numpy(photos.read(number).pixels).permute(2, 0, 1) for number in range(len(photos))]
    (number,) = (number for number, pixels in enumerate(shown) if torch.equal(pixels, sample.pixels))
    return number


class TestTrainPhotos:
    def test_same_position_same_window(self, photos):
        # Independent of the object, of the order of requests and of earlier draws.
        first = TrainPhotos(photos, (0.2, 0.8), seed=3)
        windows = {position: first[position] for position in (0, 1, 5, 100, 10**12)}
        torch.manual_seed(7)
        again = pickle.loads(pickle.dumps(TrainPhotos(photos, (0.2, 0.8), seed=3)))
        for position in (10**12, 5, 0, 100, 1):
            assert same(again[position], windows[position])
            torch.rand(3)

    def test_windows_differ(self, photos):
        # Between positions of one photo, between seeds, and between roles.
        source = PhotoFolder([photos.source.photos[0]])
        samples = [TrainPhotos(source, (0.2, 0.8), seed)[position] for position in range(3) for seed in (0, 1)]
        samples.append(TrainPhotos(source, (0.2, 0.8), 0, "style")[0])
        assert len({sample.seed for sample in samples}) == len(samples)
        assert not any(torch.equal(a.pixels, b.pixels) for i, a in enumerate(samples) for b in samples[:i])

    def test_every_epoch_has_each_photo_once(self, photos):
        contents = TrainPhotos(photos, WHOLE, 0)
        orders = [[which(contents[position], photos) for position in range(12 * n, 12 * n + 12)] for n in range(3)]
        assert all(sorted(order) == list(range(12)) for order in orders)
        assert orders[0] != orders[1] != orders[2] != orders[0]
        assert orders[0] == [contents.photo_number(position) for position in range(12)]

    def test_keeps_bytes_and_the_window_only(self, photos):
        sample = TrainPhotos(photos, (0.3, 0.5), 0)[4]
        assert sample.pixels.dtype == torch.uint8
        assert sample.pixels.is_contiguous()
        # Only the window is sent to the other process, not its photo.
        assert sample.pixels.untyped_storage().nbytes() == sample.pixels.numel() < 0.6 * 48 * 48 * 3
        assert (sample.labels, sample.position, sample.skipped) == (None, 4, ())

    def test_shrunk_photos_cause_no_warning(self, photos):
        # Their pixels are read-only memory of Pillow, for which torch warns.
        contents = TrainPhotos(PhotoFolder(photos.source.photos, min_side=32), WHOLE, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sample = contents[0]
        expected = contents.source.read(contents.photo_number(0)).pixels
        assert torch.equal(sample.pixels, torch.tensor(expected).permute(2, 0, 1))

    def test_flips_half_of_the_windows(self, photos):
        contents = TrainPhotos(photos, WHOLE, 0)
        assert 70 < sum(contents[position].flip for position in range(200)) < 130

    def test_labels_follow_the_window(self, tmp_path):
        # The photo is its own mask: blue pixels have label 0, green ones 1.
        path = save_mask(tmp_path / "masks" / "photo.png", (48, 40))
        contents = TrainPhotos(PhotoFolder([path], path.parent), (0.1, 0.6), 0)
        seen = set()
        for position in range(20):
            sample = contents[position]
            assert sample.labels.shape == (1, *sample.pixels.shape[1:])
            assert torch.equal(sample.labels[0] == 0, sample.pixels[2] == 255)
            seen |= set(sample.labels.unique().tolist())
        assert seen == {0, 1}

    def test_skips_unreadable_photos(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 5, (48, 48)))
        whole = CachedPhotos(PhotoFolder([found[0], found[3]]), 10**6)
        whole.read(0), whole.read(1)
        break_photo(found[1])
        found[2].write_text("no photo")
        Image.new("RGB", (1, 1)).save(found[4])
        contents = TrainPhotos(PhotoFolder(found), WHOLE, 0)
        samples = {contents.photo_number(position): contents[position] for position in range(5)}
        # The first photo follows the last.
        assert [which(samples[number], whole) for number in range(5)] == [0, 1, 1, 1, 0]
        assert samples[0].skipped == samples[3].skipped == ()
        assert [line.split(": ")[0] for line in samples[1].skipped] == [str(found[1]), str(found[2])]
        assert samples[1].skipped[0].startswith(f"{found[1]}: broken or truncated")
        assert samples[2].skipped == (f"{found[2]}: not a photo, or of an unknown format",)
        assert samples[4].skipped == (f"{found[4]}: 1x1 pixels, too small to train on",)

    def test_skips_a_missing_file(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 2, (48, 48)))
        contents = TrainPhotos(PhotoFolder(found), WHOLE, 0)
        found[0].unlink()
        (position,) = (position for position in range(2) if contents.photo_number(position) == 0)
        assert contents[position].skipped == (f"{found[0]}: no such photo",)
        assert which(contents[position], PhotoFolder([found[1]])) == 0

    def test_skips_a_photo_whose_mask_does_not_fit(self, tmp_path):
        found = find_photos(save_photos(tmp_path / "photos", 2, (48, 48)))
        masks = save_masks(tmp_path / "masks", 2, (48, 48))
        save_mask(masks / "photo01.png", (20, 48))
        contents = TrainPhotos(PhotoFolder(found, masks), WHOLE, 0)
        skipped = sorted(line for position in range(2) for line in contents[position].skipped)
        assert len(skipped) == 1
        assert skipped[0].startswith(f"{found[1]}: {masks / 'photo01.png'}: is 20x48 pixels")

    def test_rejects_only_broken_photos(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 3))
        for path in found:
            path.write_text("no photo")
        contents = TrainPhotos(PhotoFolder(found), WHOLE, 0)
        with pytest.raises(
            InputError, match=r"^photos: none of the 3 photos can be read; first error: .*photo0\d\.png: not a photo"
        ):
            contents[1]

    def test_rejects_too_many_broken_photos_in_a_row(self, tmp_path, monkeypatch):
        # If a disk is missing, a run must not try each of millions of photos.
        monkeypatch.setattr(dataset, "MAX_SKIPPED", 4)
        found = find_photos(save_photos(tmp_path, 10, (48, 48)))
        for path in list(found)[2:7]:
            break_photo(path)
        contents = TrainPhotos(PhotoFolder(found), WHOLE, 0)
        positions = {contents.photo_number(position): position for position in range(10)}
        assert len(contents[positions[4]].skipped) == 3
        for number in (2, 3):
            with pytest.raises(
                InputError, match=r"^photos: 4 consecutive photos of 10 can't be read; first error: .*photo0"
            ):
                contents[positions[number]]


class TestTrainPairs:
    def pairs(self, contents, styles, share=0.0, seed=0, scale=WHOLE):
        return TrainPairs(TrainPhotos(contents, scale, seed), TrainPhotos(styles, scale, seed, "style"), share)

    def test_contents_do_not_depend_on_styles(self, photos, others):
        pairs, contents = self.pairs(photos, others), TrainPhotos(photos, WHOLE, 0)
        assert all(same(pairs[position].content, contents[position]) for position in range(20))

    def test_same_position_same_pair(self, photos, others):
        first, again = (self.pairs(photos, others, scale=(0.2, 0.8)) for _ in range(2))
        pairs = [first[position] for position in range(10)]
        for position in reversed(range(10)):
            assert same(again[position].content, pairs[position].content)
            assert same(again[position].style, pairs[position].style)

    def test_styles_are_drawn(self, photos, others):
        def drawn(seed):
            pairs = self.pairs(photos, others, seed=seed)
            return [which(pairs[position].style, others) for position in range(200)]

        first = drawn(0)
        assert all(30 < first.count(number) < 75 for number in range(4))  # 50 each
        assert drawn(0) == first != drawn(1)

    @pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
    def test_share_of_pairs_of_one_photo(self, photos, share):
        pairs = [self.pairs(photos, photos, share)[position] for position in range(240)]
        assert sum(pair.same for pair in pairs) / 240 == pytest.approx(share, abs=0.08)
        others = [pair for pair in pairs if not pair.same]
        equal = [which(pair.content, photos) == which(pair.style, photos) for pair in others]
        assert sum(equal) <= 0.2 * len(others)  # 1/12 of the draws

    def test_one_photo_gives_two_windows(self, photos):
        pairs = self.pairs(photos, photos, 1.0, scale=(0.2, 0.5))
        assert not any(torch.equal(pairs[n].content.pixels, pairs[n].style.pixels) for n in range(20))
        assert all(pairs[n].content.seed != pairs[n].style.seed for n in range(20))

    def test_a_share_changes_no_window(self, photos):
        # A pair of one photo has other windows, and no other pair changes.
        plain, some = self.pairs(photos, photos, 0.0), self.pairs(photos, photos, 0.5)
        for position in range(20):
            if not some[position].same:
                assert same(plain[position].content, some[position].content)
                assert same(plain[position].style, some[position].style)
            assert plain[position].content.seed == some[position].content.seed
            assert plain[position].style.seed == some[position].style.seed

    @pytest.mark.parametrize("size", [(200, 60), (60, 200)])
    def test_windows_of_one_photo_overlap_little(self, size):
        # Each pixel holds its own position along the longer side.
        along = np.arange(200, dtype=np.uint8)
        pixels = np.broadcast_to(along[None, :] if size[0] < size[1] else along[:, None], size)
        source = Positions(np.repeat(pixels[..., None], 3, 2))
        sides = set()
        for position in range(60):
            pair = self.pairs(source, source, 1.0, scale=(0.6, 1.0))[position]
            ends = [(int(part.pixels.min()), int(part.pixels.max()) + 1) for part in (pair.content, pair.style)]
            assert min(end[1] for end in ends) - max(end[0] for end in ends) <= 0.3 * 200 + 1  # ends are rounded
            sides.add(ends[0] < ends[1])
        assert sides == {False, True}  # the content may come first or last

    def test_skips_unreadable_contents_and_styles(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 3, (48, 48)))
        break_photo(found[0])
        broken = PhotoFolder(found)
        pairs = [self.pairs(broken, broken)[position] for position in range(30)]
        for samples in ([pair.content for pair in pairs], [pair.style for pair in pairs]):
            lines = {line.split(": ")[0] for sample in samples for line in sample.skipped}
            assert lines == {str(found[0])}


class TestValPhotos:
    def test_known_value(self, photos):
        val = ValPhotos(photos, [7, 2], 512)
        assert len(val) == 2
        assert [which(val[index], photos) for index in range(2)] == [7, 2]
        assert [(val[index].position, val[index].flip, val[index].skipped) for index in range(2)] == [
            (0, False, ()), (1, False, ()),
        ]  # fmt: skip

    def test_shrinks_photo_and_labels(self, tmp_path):
        found = find_photos(save_photos(tmp_path / "photos", 1))
        sample = ValPhotos(PhotoFolder(found, save_masks(tmp_path / "masks", 1)), [0], 48)[0]
        assert sample.pixels.shape == (3, 32, 48)
        assert sample.labels.shape == (1, 32, 48)
        assert torch.equal(sample.labels[0, :, 0], torch.arange(32).ge(16).byte())

    def test_is_the_same_every_time(self, photos):
        first, again = (ValPhotos(photos, range(12), 30) for _ in range(2))
        assert all(same(first[index], again[index]) for index in range(12))
        assert len({first[index].seed for index in range(12)}) == 12

    def test_skips_unreadable_photos(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 3))
        break_photo(found[1])
        val = ValPhotos(PhotoFolder(found), [0, 1], 512)
        assert torch.equal(val[1].pixels, ValPhotos(PhotoFolder(found), [2], 512)[0].pixels)
        assert [line.split(": ")[0] for line in val[1].skipped] == [str(found[1])]
        for path in found:
            path.unlink()
        with pytest.raises(
            InputError, match=r"^photos: none of the 3 photos can be read; first error: .*photo01\.png: no such photo"
        ):
            val[1]


class TestValPairs:
    def val(self, photos, count):
        return ValPhotos(photos, range(count), 512)

    def test_known_value(self, photos, others):
        pairs = ValPairs(self.val(photos, 5), self.val(others, 4))
        assert len(pairs) == 5
        for _ in range(2):
            for index, other in enumerate([2, 3, 0, 1, 2]):  # half the list further
                assert which(pairs[index].content, photos) == index
                assert which(pairs[index].style, others) == other
                assert pairs[index].same is False

    @pytest.mark.parametrize("count", [2, 3, 8])
    def test_no_photo_is_its_own_style(self, photos, count):
        pairs = ValPairs(self.val(photos, count), self.val(photos, count))
        assert all(which(pairs[n].content, photos) != which(pairs[n].style, photos) for n in range(count))

    def test_a_single_style_serves_all(self, photos, others):
        pairs = ValPairs(self.val(photos, 3), self.val(others, 1))
        assert [which(pairs[n].style, others) for n in range(3)] == [0, 0, 0]


class TestTorchSeed:
    def test_restores_the_global_generator(self):
        torch.manual_seed(5)
        before = torch.rand(3)
        expected = torch.rand(3)
        torch.manual_seed(5)
        assert torch.equal(torch.rand(3), before)
        with torch_seed(2**64 - 1):
            torch.rand(100)
        assert torch.equal(torch.rand(3), expected)

    def test_restores_it_after_an_error(self):
        state = torch.get_rng_state()
        with pytest.raises(KeyError), torch_seed(1):
            raise KeyError(torch.rand(1))
        assert torch.equal(torch.get_rng_state(), state)

    def test_draws_depend_only_on_the_seed(self):
        drawn = []
        for seed in (1, 2, 1):
            torch.rand(7)
            with torch_seed(seed):
                drawn.append(torch.rand(5))
        assert torch.equal(drawn[0], drawn[2])
        assert not torch.equal(drawn[0], drawn[1])

    def test_a_dataset_leaves_all_global_generators_unchanged(self, photos):
        np.random.seed(3)  # noqa: NPY002
        state, ours = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        contents = TrainPhotos(photos, (0.2, 0.8), 0)
        for position in range(5):
            contents[position]
        assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), ours)
