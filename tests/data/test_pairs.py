from types import SimpleNamespace

import pytest
import torch

from lookcast.checks import InputError
from lookcast.data.grades import random_grade
from lookcast.data.pairs import PairDataModule, PairSample, PhotoPairs, collate_pairs
from lookcast.data.photo_folder import PhotoFolder, PhotoSample, find_photos
from lookcast.data.transforms import validation_transform
from lookcast.structures import PhotoBatch
from tests.runs import break_photo, save_photos

WHOLE = validation_transform(512)


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("contents"), 20)


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("styles"), 30, (64, 48))


def names(photos):
    return [path.stem for path in photos.photos]


def folder(source, count=None, **options):
    return PhotoFolder(find_photos(source)[:count], WHOLE, **options)


class TestPhotoPairs:
    @pytest.mark.parametrize("random", [True, False])
    def test_contents_stand_in_their_order(self, contents, styles, random):
        photos = folder(contents, 3)
        pairs = PhotoPairs(photos, folder(styles), random)
        assert len(pairs) == 3
        for index in range(3):
            assert torch.equal(pairs[index].content.content, photos[index].content)
            assert pairs[index].style.content.shape == (3, 48, 64)

    def test_length_is_that_of_the_contents(self, contents, styles):
        pairs = PhotoPairs(folder(contents, 3, length=50), folder(styles, 2, length=7), True)
        assert len(pairs) == 50
        assert torch.equal(pairs[49].content.content, folder(contents, 3)[1].content)

    def test_styles_to_judge_by_are_always_the_same(self, contents, styles):
        looks = folder(styles, 5)
        pairs = PhotoPairs(folder(contents, 4), looks, False)
        for _ in range(2):
            for index, other in enumerate([2, 3, 4, 0]):  # half of the list away
                assert torch.equal(pairs[index].style.content, looks[other].content)

    @pytest.mark.parametrize("count", [2, 3, 8])
    def test_no_photo_is_its_own_style(self, contents, count):
        photos = folder(contents, count)
        pairs = PhotoPairs(photos, photos, False)
        assert not any(
            torch.equal(pair.content.content, pair.style.content) for pair in (pairs[n] for n in range(count))
        )

    def test_a_single_style_serves_all(self, contents, styles):
        for random in (True, False):
            pairs = PhotoPairs(folder(contents, 3), folder(styles, 1), random)
            assert all(torch.equal(pairs[n].style.content, pairs[0].style.content) for n in range(3))

    def test_styles_to_train_on_are_drawn(self, contents, styles):
        looks = folder(styles, 4)
        pairs = PhotoPairs(folder(contents, 1), looks, True)
        means = torch.stack([looks[n].content.mean() for n in range(4)])

        def draw(seed):
            torch.manual_seed(seed)
            return [int((pairs[0].style.content.mean() - means).abs().argmin()) for _ in range(200)]

        drawn = draw(0)
        assert all(30 < drawn.count(n) < 75 for n in range(4))  # 50 each
        assert draw(0) == drawn != draw(1)

    def test_broken_photos_are_passed_over_in_both(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 4))
        for index in (0, 2):
            break_photo(found[index])
        pairs = PhotoPairs(PhotoFolder(found, WHOLE), PhotoFolder(found, WHOLE), False)
        pair = pairs[0]  # photo00 with photo02; the next ones are whole
        assert torch.equal(pair.content.content, pairs[1].content.content)
        assert [pair.content.skipped[0].split(": ")[0], pair.style.skipped[0].split(": ")[0]] == [
            str(found[0]),
            str(found[2]),
        ]


class TestCollatePairs:
    def test_known_value(self):
        def sample(number, side, *skipped):
            return PhotoSample(torch.full((3, side, side), number), None, skipped)

        pairs = [PairSample(sample(0.1, 4, "a"), sample(0.2, 5)), PairSample(sample(0.3, 4, "b"), sample(0.4, 5, "c"))]
        batch = collate_pairs(pairs)
        assert isinstance(batch, PhotoBatch)
        assert batch.content.shape == (2, 3, 4, 4)
        assert batch.style.shape == (2, 3, 5, 5)
        assert batch.content[:, 0, 0, 0].tolist() == pytest.approx([0.1, 0.3])
        assert batch.style[:, 0, 0, 0].tolist() == pytest.approx([0.2, 0.4])
        assert (batch.content_mask, batch.style_mask) == (None, None)
        assert batch.skipped == ("a", "b", "c")


class TestPairDataModule:
    def test_batches(self, contents, styles):
        data = PairDataModule(contents, styles, size=24, batch_size=3, epoch_length=1, val_size=48)
        batches = list(data.train_dataloader())
        assert len(batches) == 18 // 3
        for batch in batches:
            assert batch.content.shape == batch.style.shape == (3, 3, 24, 24)
        judged = list(data.val_dataloader())
        assert [tuple(batch.content.shape) for batch in judged] == [(1, 3, 32, 48)] * 2
        assert [tuple(batch.style.shape) for batch in judged] == [(1, 3, 36, 48)] * 2

    def test_one_source_is_held_out_of_both(self, contents):
        data = PairDataModule(contents, contents, num_val=2)
        assert names(data.val_set.contents) == names(data.val_set.styles) == ["photo00", "photo10"]
        trained = [f"photo{n:02d}" for n in range(20) if n not in (0, 10)]
        assert names(data.train_set.contents) == names(data.train_set.styles) == trained

    def test_two_sources_are_held_out_apart(self, contents, styles):
        data = PairDataModule(contents, styles, num_val=3)
        assert names(data.val_set.contents) == ["photo00", "photo10"]
        assert names(data.val_set.styles) == ["photo00", "photo10", "photo20"]
        assert len(names(data.train_set.contents)) == 18
        assert len(names(data.train_set.styles)) == 27
        assert data.held_out

    def test_photos_to_judge_by(self, contents, styles):
        data = PairDataModule(
            contents, styles, val_photos="sample:chelsea", val_styles=["sample:coffee", "sample:rocket"]
        )
        assert names(data.val_set.contents) == ["chelsea"]
        assert names(data.val_set.styles) == ["coffee", "rocket"]
        assert (len(names(data.train_set.contents)), len(names(data.train_set.styles))) == (20, 30)

    def test_memory_and_crops_are_those_of_the_contents(self, contents, styles):
        data = PairDataModule(contents, styles, cache_mb=3, size=20)
        assert data.train_set.contents.cache_bytes == data.train_set.styles.cache_bytes == 3 * 2**20
        assert data.train_set[0].style.content.shape == (3, 20, 20)

    def test_rejections_name_the_styles(self, contents, tmp_path):
        with pytest.raises(InputError, match=r"^styles: .*nowhere does not exist$"):
            PairDataModule(contents, tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"^val_styles: .*nowhere does not exist$"):
            PairDataModule(contents, contents, val_styles=tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"^styles: the list is empty$"):
            PairDataModule(contents, [])
        for path in find_photos(save_photos(tmp_path / "broken", 2)):
            break_photo(path)
        with pytest.raises(InputError, match=r"^styles: none of the 2 can be read, first .*photo00"):
            PairDataModule(contents, tmp_path / "broken")

    def test_rejects_what_its_base_rejects(self, contents):
        with pytest.raises(InputError, match=r"^batch_size: expected at least 1, got 0$"):
            PairDataModule(contents, contents, batch_size=0)


class TestGrading:
    BATCH = PhotoBatch(torch.full((400, 3, 2, 2), 0.4), None, torch.full((400, 3, 2, 2), 0.6), None, ("a",))

    @staticmethod
    def graded(contents, batch, training=True, **grades):
        data = PairDataModule(contents, contents, **grades)
        data.trainer = SimpleNamespace(training=training)
        torch.manual_seed(0)
        return data.on_after_batch_transfer(batch, 0)

    def test_what_is_trained_on(self, contents):
        batch = self.graded(contents, self.BATCH)
        content, style = (
            float((a != b).flatten(1).any(1).float().mean())
            for a, b in ((batch.content, self.BATCH.content), (batch.style, self.BATCH.style))
        )
        # Half of the contents and a quarter of the styles stay as they are.
        assert content == pytest.approx(0.5, abs=0.08)
        assert style == pytest.approx(0.75, abs=0.08)
        assert batch.skipped == ("a",)

    def test_what_is_judged_by_stays(self, contents):
        batch = self.graded(contents, self.BATCH, training=False)
        assert torch.equal(batch.content, self.BATCH.content)
        assert torch.equal(batch.style, self.BATCH.style)

    def test_strength(self, contents):
        plain = self.graded(contents, self.BATCH, content_grade=0.0, style_grade=0.0)
        assert torch.equal(plain.content, self.BATCH.content)
        assert torch.equal(plain.style, self.BATCH.style)
        one = self.graded(contents, self.BATCH, content_grade=0.0, style_grade=0.5)
        assert torch.equal(one.content, self.BATCH.content)
        assert (one.style - self.BATCH.style).abs().mean() > 0.05

    def test_each_photo_in_its_own_way(self, contents):
        colors = self.graded(contents, self.BATCH).style[:, :, 0, 0]
        distinct = torch.unique(colors, dim=0)
        assert len(distinct) > 0.7 * len(colors)

    def test_module_equals_function(self, contents):
        batch = self.graded(contents, self.BATCH, style_grade=1.0, content_grade=0.5)
        torch.manual_seed(0)
        chosen = torch.rand(400, 1, 1, 1) < 0.5
        expected = torch.where(chosen, random_grade(self.BATCH.content, 0.5), self.BATCH.content)
        assert torch.equal(batch.content, expected)
