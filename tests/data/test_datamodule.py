import logging

import pytest
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.data.datamodule import PhotoDataModule, split_photos
from lookcast.data.photo_folder import collate, find_photos
from lookcast.structures import PhotoBatch
from tests.runs import GREEN, break_photo, save_masks, save_photos


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("twenty"), 25)


def names(photos):
    return [path.stem for path in photos.photos]


class TestSplit:
    @pytest.mark.parametrize(
        ("count", "num_val", "held"), [(10, 8, 1), (19, 8, 1), (20, 8, 2), (25, 1, 1), (25, 8, 2), (100, 8, 8)]
    )
    def test_holds_out_at_most_a_tenth(self, tmp_path, count, num_val, held):
        data = PhotoDataModule(save_photos(tmp_path, count, (16, 16)), num_val=num_val)
        train, val = names(data.train_set), names(data.val_set)
        assert data.held_out
        assert len(val) == held
        assert sorted(train + val) == [f"photo{number:02d}" for number in range(count)]

    def test_held_out_photos_are_spread(self, tmp_path):
        data = PhotoDataModule(save_photos(tmp_path, 40, (16, 16)))
        assert names(data.val_set) == ["photo00", "photo10", "photo20", "photo30"]

    @pytest.mark.parametrize(("count", "num_val", "judged"), [(1, 8, 1), (9, 8, 8), (9, 2, 2)])
    def test_a_small_folder_is_judged_on_what_it_trains_on(self, tmp_path, count, num_val, judged):
        data = PhotoDataModule(save_photos(tmp_path, count), num_val=num_val)
        assert not data.held_out
        assert names(data.train_set) == [f"photo{number:02d}" for number in range(count)]
        assert len(set(names(data.val_set))) == judged
        assert set(names(data.val_set)) <= set(names(data.train_set))

    def test_photos_to_judge_by(self, twenty, tmp_path):
        data = PhotoDataModule(str(twenty), val_photos=["sample:chelsea", save_photos(tmp_path, 2)])
        assert data.held_out
        assert len(names(data.train_set)) == 25
        assert names(data.val_set) == ["chelsea", "photo00", "photo01"]

    def test_a_broken_photo_is_not_held_out(self, tmp_path):
        # Alone among the photos to judge by it would end the run at the first validation.
        found = find_photos(save_photos(tmp_path, 20))
        break_photo(found[0])
        found[1].write_text("no photo")
        Image.new("RGB", (1, 1)).save(found[10])
        data = PhotoDataModule(tmp_path)
        assert names(data.val_set) == ["photo02", "photo11"]
        assert {"photo00", "photo01", "photo10"} <= set(names(data.train_set))

    def test_says_what_it_found(self, twenty, tmp_path, caplog):
        with caplog.at_level(logging.INFO):
            PhotoDataModule(twenty)
            PhotoDataModule(save_photos(tmp_path, 3))
        assert caplog.messages == ["23 photos to train on, 2 held out", "3 photos to train on, 3 of them to judge by"]

    def test_masks_among_the_photos_are_no_photos(self, tmp_path):
        save_photos(tmp_path, 12)
        save_masks(tmp_path / "masks", 12)
        data = PhotoDataModule(tmp_path, val_photos=tmp_path, masks=tmp_path / "masks")
        for photos in (data.train_set, data.val_set):
            assert photos.photos == [tmp_path / f"photo{number:02d}.png" for number in range(12)]
            assert photos.masks == [tmp_path / "masks" / f"photo{number:02d}.png" for number in range(12)]


class TestSplitPhotos:
    def test_known_value(self, twenty):
        found = find_photos(twenty)
        train, val, held_out = split_photos(twenty, None, 8, None)
        assert (val, held_out) == ([found[0], found[12]], True)
        assert train == [path for path in found if path not in val]

    def test_given_photos_are_taken_as_they_are(self, twenty, tmp_path):
        judged = save_photos(tmp_path, 2)
        expected = find_photos(twenty), find_photos(judged), True
        assert split_photos(twenty, judged, 1, None) == expected

    def test_few_photos_serve_twice(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 4))
        assert split_photos(tmp_path, None, 2, None) == (found, [found[0], found[2]], False)

    def test_module_equals_function(self, twenty):
        data = PhotoDataModule(twenty, num_val=1)
        assert (data.train_set.photos, data.val_set.photos, data.held_out) == split_photos(twenty, None, 1, None)

    def test_rejections_name_the_setting(self, tmp_path):
        nowhere = tmp_path / "nowhere"
        with pytest.raises(InputError, match=r"^styles: .*nowhere does not exist$"):
            split_photos(nowhere, None, 8, None, "styles")
        with pytest.raises(InputError, match=r"^val_styles: .*nowhere does not exist$"):
            split_photos(save_photos(tmp_path / "some", 1), nowhere, 8, None, "styles")
        with pytest.raises(InputError, match=r"^styles: the list is empty$"):
            split_photos([], None, 8, None, "styles")


class TestCache:
    @pytest.mark.parametrize("cache_mb", [0, 1, 64])
    def test_reaches_the_photos_to_train_on(self, twenty, cache_mb):
        data = PhotoDataModule(twenty, cache_mb=cache_mb)
        assert data.train_set.cache_bytes == cache_mb * 2**20
        for index in range(23):
            _ = data.train_set[index]
        assert len(data.train_set.cache) == (0 if cache_mb == 0 else 23)


class TestCollate:
    def test_is_what_the_loaders_use(self, twenty):
        data = PhotoDataModule(twenty, size=24)
        assert data.collate is collate
        for loader in (data.train_dataloader(), data.val_dataloader()):
            assert loader.collate_fn is collate

    def test_another_one_reaches_the_loaders(self, twenty):
        class Counted(PhotoDataModule):
            collate = staticmethod(len)

        data = Counted(twenty, size=24, batch_size=3)
        assert next(iter(data.train_dataloader())) == 3
        assert next(iter(data.val_dataloader())) == 1


class TestTrainDataloader:
    def test_shape(self, twenty):
        loader = PhotoDataModule(twenty, size=24, batch_size=3, epoch_length=8).train_dataloader()
        batches = list(loader)
        # 23 photos are more than the epoch's length; an incomplete batch is dropped.
        assert len(batches) == len(loader) == 7
        for batch in batches:
            assert isinstance(batch, PhotoBatch)
            assert batch.content.shape == (3, 3, 24, 24)
            assert batch.content_mask is None
            assert 0 <= batch.content.min() < batch.content.max() <= 1

    def test_few_photos_repeat(self, tmp_path):
        data = PhotoDataModule(save_photos(tmp_path, 3), size=24, batch_size=4, epoch_length=40)
        assert len(data.train_dataloader()) == 10

    def test_an_epoch_holds_a_batch(self, tmp_path):
        # drop_last would leave nothing to train on.
        data = PhotoDataModule(save_photos(tmp_path, 3), size=24, batch_size=16, epoch_length=1)
        assert [batch.content.shape[0] for batch in data.train_dataloader()] == [16]

    def test_every_photo_has_its_turn(self, twenty):
        # Whole photos at full size, so that a crop tells which photo it is.
        data = PhotoDataModule(twenty, size=64, scale=(1.0, 1.0), batch_size=1, epoch_length=1)
        torch.manual_seed(0)
        means = torch.stack([data.train_set[number].content.mean() for number in range(23)])
        orders = []
        for _ in range(2):
            epoch = torch.stack([batch.content.mean() for batch in data.train_dataloader()])
            orders.append((epoch[:, None] - means).abs().argmin(1).tolist())
        assert sorted(orders[0]) == sorted(orders[1]) == list(range(23))
        assert orders[0] != orders[1] != list(range(23)) != orders[0]  # shuffled, every time anew

    def test_seeded(self, twenty):
        data = PhotoDataModule(twenty, size=24, jitter=0.4)

        def epoch(seed):
            torch.manual_seed(seed)
            return torch.cat([batch.content for batch, _ in zip(data.train_dataloader(), range(3), strict=False)])

        assert torch.equal(epoch(1), epoch(1))
        assert not torch.equal(epoch(1), epoch(2))

    def test_worker_processes(self, twenty):
        data = PhotoDataModule(twenty, size=24, batch_size=5, epoch_length=1, num_workers=1)
        batches = list(data.train_dataloader())
        assert [tuple(batch.content.shape) for batch in batches] == [(5, 3, 24, 24)] * 4
        assert all(isinstance(batch, PhotoBatch) for batch in batches)

    def test_masks(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 10)
        data = PhotoDataModule(photos, masks=save_masks(tmp_path / "masks", 10), size=24, batch_size=2, epoch_length=1)
        for loader in (data.train_dataloader(), data.val_dataloader()):
            batch = next(iter(loader))
            assert batch.content_mask.shape == (batch.content.shape[0], 9, *batch.content.shape[2:])
            assert torch.equal(batch.content_mask.sum(1), torch.ones_like(batch.content[:, 0]))
            assert batch.content_mask[:, :2].sum() == batch.content_mask.sum()  # blue and green alone

    def test_mask_of_one_label(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 2)
        masks = save_masks(tmp_path / "masks", 2, upper=GREEN)
        data = PhotoDataModule(photos, masks=masks, size=24, batch_size=2, epoch_length=2)
        batch = next(iter(data.train_dataloader()))
        assert torch.equal(batch.content_mask[:, 1], torch.ones(2, 24, 24))


class TestValDataloader:
    def test_shape(self, tmp_path):
        save_photos(tmp_path / "wide", 1, (96, 64))
        save_photos(tmp_path / "tall", 1, (64, 100))
        data = PhotoDataModule("sample:coffee", val_photos=[tmp_path / "wide", tmp_path / "tall"], val_size=48)
        # Whole photos one by one, in their order, each in its own shape.
        assert [tuple(batch.content.shape) for batch in data.val_dataloader()] == [(1, 3, 32, 48), (1, 3, 48, 31)]

    def test_is_the_same_every_time(self, twenty):
        data = PhotoDataModule(twenty, jitter=0.4)
        first, second = ([batch.content for batch in data.val_dataloader()] for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class TestRejects:
    @pytest.mark.parametrize(("name", "value"), [("num_val", 0), ("batch_size", 0), ("batch_size", -1)])
    def test_rejects_numbers_below_one(self, twenty, name, value):
        with pytest.raises(InputError, match=rf"^{name}: expected at least 1, got {value}$"):
            PhotoDataModule(twenty, **{name: value})

    def test_rejects_missing_folders(self, twenty, tmp_path):
        with pytest.raises(InputError, match=r"^photos: .*nowhere does not exist$"):
            PhotoDataModule(tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"^val_photos: .*nowhere does not exist$"):
            PhotoDataModule(twenty, val_photos=tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"^masks: .*nowhere is not a folder$"):
            PhotoDataModule(twenty, masks=tmp_path / "nowhere")

    def test_rejects_empty_lists(self, twenty):
        with pytest.raises(InputError, match=r"^photos: the list is empty$"):
            PhotoDataModule([])
        with pytest.raises(InputError, match=r"^val_photos: the list is empty$"):
            PhotoDataModule(twenty, val_photos=[])

    @pytest.mark.parametrize("count", [3, 12])
    def test_rejects_only_broken_photos(self, tmp_path, count):
        for path in find_photos(save_photos(tmp_path, count)):
            break_photo(path)
        with pytest.raises(InputError, match=rf"^photos: none of the {count} can be read, first .*photo00"):
            PhotoDataModule(tmp_path)

    def test_rejects_masks_that_do_not_fit(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 12)
        with pytest.raises(InputError, match="another aspect ratio"):
            PhotoDataModule(photos, masks=save_masks(tmp_path / "masks", 12, (64, 64)))
