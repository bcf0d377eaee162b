import logging
import math
import os
from types import SimpleNamespace

import pytest
import torch
from omegaconf import ListConfig

from lookcast.checks import InputError
from lookcast.data.batches import SampleBatch
from lookcast.data.datamodule import PhotoDataModule
from lookcast.data.sampling import seed_of
from lookcast.data.sources.folder import find_photos
from lookcast.structures import PhotoBatch
from tests.data.fits import IGNORED, contents, fit, names, positions
from tests.runs import GREEN, break_photo, save_masks, save_photos

pytestmark = pytest.mark.filterwarnings(*IGNORED)


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("twenty"), 25)


class TestSplit:
    @pytest.mark.parametrize(
        ("count", "num_val", "held"), [(10, 8, 1), (19, 8, 1), (20, 8, 2), (25, 1, 1), (25, 8, 2), (100, 8, 8)]
    )
    def test_holds_out_at_most_a_tenth(self, tmp_path, count, num_val, held):
        data = PhotoDataModule(save_photos(tmp_path, count, (16, 16)), num_val=num_val)
        train, val = names(data.photos.train), names(data.photos.val, data.photos.val_numbers)
        assert data.held_out
        assert len(val) == len(data.val_set) == held
        assert sorted(train + val) == [f"photo{number:02d}" for number in range(count)]

    def test_held_out_photos_are_spread(self, tmp_path):
        data = PhotoDataModule(save_photos(tmp_path, 40, (16, 16)))
        assert names(data.photos.val, data.photos.val_numbers) == ["photo00", "photo10", "photo20", "photo30"]

    @pytest.mark.parametrize(("count", "num_val", "expected"), [(1, 8, 1), (9, 8, 8), (9, 2, 2)])
    def test_a_small_folder_validates_on_training_photos(self, tmp_path, count, num_val, expected):
        data = PhotoDataModule(save_photos(tmp_path, count), num_val=num_val)
        assert not data.held_out
        assert names(data.photos.train) == [f"photo{number:02d}" for number in range(count)]
        assert len(set(names(data.photos.val, data.photos.val_numbers))) == expected

    def test_validation_photos(self, twenty, tmp_path):
        data = PhotoDataModule(str(twenty), val_photos=["sample:chelsea", save_photos(tmp_path, 2)])
        assert data.held_out
        assert len(data.photos.train) == data.num_photos == 25
        assert [data.photos.val.name(n).rpartition("/")[2] for n in range(3)] == [
            "chelsea.png", "photo00.png", "photo01.png",
        ]  # fmt: skip

    def test_logs_the_numbers_of_photos(self, twenty, tmp_path, caplog):
        with caplog.at_level(logging.INFO):
            PhotoDataModule(twenty)
            PhotoDataModule(save_photos(tmp_path, 3))
        assert caplog.messages == [
            "23 training photos, 2 held out for validation",
            "3 training photos, 3 of them for validation too",
        ]

    def test_masks_in_the_folder_of_photos_are_no_photos(self, tmp_path):
        save_photos(tmp_path, 12)
        save_masks(tmp_path / "masks", 12)
        data = PhotoDataModule(tmp_path, val_photos=tmp_path, masks=tmp_path / "masks")
        for photos in (data.photos.train, data.photos.val):
            assert names(photos) == [f"photo{number:02d}" for number in range(12)]
            assert all(photos.read(number).labels.shape == (64, 96) for number in range(12))

    @pytest.mark.parametrize("given", [find_photos, lambda folder: ListConfig([str(folder)]), lambda folder: (folder,)])
    def test_any_sequence_of_photos(self, twenty, given):
        data = PhotoDataModule(given(twenty), scale=ListConfig([0.5, 1]))
        assert names(data.photos.train) == names(PhotoDataModule(twenty).photos.train)
        assert data.scale == (0.5, 1.0)


class TestTraining:
    def test_shape(self, twenty):
        seen = fit(PhotoDataModule(twenty, size=24, batch_size=3), 9)
        assert len(seen.trained) == 9  # more samples than the 23 photos: epochs do not end
        for batch in seen.trained:
            assert isinstance(batch, PhotoBatch)
            assert batch.content.shape == (3, 3, 24, 24)
            assert batch.content_mask is None
            assert 0 <= batch.content.min() < batch.content.max() <= 1
        assert positions(seen) == [[3 * step, 3 * step + 1, 3 * step + 2] for step in range(9)]
        assert [batch.seed for batch in seen.trained] == [seed_of(0, "step", 3 * step) for step in range(9)]

    def test_fewer_photos_than_a_batch_repeat(self, tmp_path):
        batch = fit(PhotoDataModule(save_photos(tmp_path, 3), size=24, batch_size=16), 1).trained[0]
        assert batch.content.shape == (16, 3, 24, 24)

    def test_every_epoch_has_each_photo_once(self, tmp_path):
        # With whole photos at full size, the mean identifies the photo.
        data = PhotoDataModule(save_photos(tmp_path, 25, (64, 64)), size=64, scale=(1.0, 1.0), batch_size=23)
        seen = fit(data, 2)
        train = data.photos.train
        means = torch.tensor([float(train.read(number).pixels.mean() / 255) for number in range(23)])
        orders = [(batch.content.mean((1, 2, 3))[:, None] - means).abs().argmin(1).tolist() for batch in seen.trained]
        assert sorted(orders[0]) == sorted(orders[1]) == list(range(23))
        assert orders[0] != orders[1] != list(range(23)) != orders[0]  # another order in every epoch

    def test_depends_only_on_the_seed(self, twenty):
        def trained(seed):
            torch.manual_seed(seed + 7)
            return contents(fit(PhotoDataModule(twenty, size=24, content_grade=0.4, seed=seed), 3))

        first = trained(1)
        torch.rand(5)
        assert torch.equal(trained(1), first)
        assert not torch.equal(trained(2), first)

    def test_training_photos_are_graded(self, twenty):
        plain, graded = (contents(fit(PhotoDataModule(twenty, size=24, content_grade=grade), 10)) for grade in (0, 1.0))
        changed = (plain != graded).flatten(1).any(1).float().mean()
        assert 0.3 < changed < 0.7  # half of the photos

    def test_worker_processes(self, twenty):
        options = {"size": 24, "batch_size": 5, "content_grade": 0.4}
        none = fit(PhotoDataModule(twenty, num_workers=0, **options), 4)
        two = fit(PhotoDataModule(twenty, num_workers=2, **options), 4)
        assert torch.equal(contents(none), contents(two))
        assert positions(none) == positions(two)

    def test_masks(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 10)
        data = PhotoDataModule(photos, masks=save_masks(tmp_path / "masks", 10), size=24, batch_size=2)
        seen = fit(data, 3, limit_val_batches=1, val_check_interval=3)
        assert len(seen.val) == 1
        for batch in [*seen.trained, *seen.val]:
            assert batch.content_mask.shape == (batch.content.shape[0], 9, *batch.content.shape[2:])
            assert torch.equal(batch.content_mask.sum(1), torch.ones_like(batch.content[:, 0]))
            assert batch.content_mask[:, :2].sum() == batch.content_mask.sum()  # only blue and green

    def test_mask_of_one_label(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 2)
        masks = save_masks(tmp_path / "masks", 2, upper=GREEN)
        batch = fit(PhotoDataModule(photos, masks=masks, size=24, batch_size=2), 1).trained[0]
        assert torch.equal(batch.content_mask[:, 1], torch.ones(2, 24, 24))

    def test_skipped_photos_are_named(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 4))
        break_photo(found[2])
        seen = fit(PhotoDataModule(tmp_path, num_val=1, size=24, batch_size=4), 2)
        assert [[line.split(": ")[0] for line in batch.skipped] for batch in seen.trained] == [[str(found[2])]] * 2

    def test_overfitting_repeats_one_batch(self, twenty):
        seen = fit(PhotoDataModule(twenty, size=24, batch_size=2), 4, overfit_batches=1)
        assert positions(seen) == [[0, 1]] * 4

    def test_min_side(self, twenty):
        data = PhotoDataModule(twenty, min_side=32)
        assert data.photos.train.read(0).pixels.shape == (32, 48, 3)
        assert data.train_dataloader().dataset[0].pixels.shape[1] <= 32


class TestProcesses:
    """Batches of one process among several; tests/training runs real processes."""

    @pytest.mark.parametrize(("processes", "samples"), [(2, 2), (4, 1)])
    def test_invariance_to_the_number_of_processes(self, twenty, processes, samples):
        options = {"size": 24, "content_grade": 1.0, "num_workers": 0}
        whole = fit(PhotoDataModule(twenty, batch_size=processes * samples, **options), 3)
        ranks = []
        for rank in range(processes):
            data = PhotoDataModule(twenty, batch_size=samples, **options)
            total = SimpleNamespace(processed=0)
            progress = SimpleNamespace(batch_progress=SimpleNamespace(total=total))
            data.trainer = SimpleNamespace(
                global_rank=rank, world_size=processes, training=True, overfit_batches=0,
                fit_loop=SimpleNamespace(epoch_loop=progress),
            )  # fmt: skip
            batches = [batch for batch, _ in zip(data.train_dataloader(), range(3), strict=False)]
            ranks.append([data.on_after_batch_transfer(batch, 0) for batch in batches])
            total.processed = 3
            assert data.state_dict()["samples"] == 3 * processes * samples
        for step, parts in enumerate(zip(*ranks, strict=True)):
            assert torch.equal(torch.cat([part.content for part in parts]), whole.trained[step].content)
            assert {part.seed for part in parts} == {whole.trained[step].seed}


class TestNumWorkers:
    @pytest.mark.parametrize(
        ("asked", "device", "devices", "expected"),
        [
            (None, "cpu", 1, [0]),
            (3, "cpu", 1, [3]),
            (0, "cuda", 1, [0]),
            (None, "cuda", 1, range(1, 9)),
            (None, "cuda", 10**4, [1]),
        ],
    )
    def test_known_values(self, twenty, asked, device, devices, expected):
        data = PhotoDataModule(twenty, num_workers=asked)
        strategy = SimpleNamespace(root_device=torch.device(device))
        data.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=strategy, num_devices=devices)
        loader = data.train_dataloader()
        assert loader.num_workers in expected
        assert loader.persistent_workers == (loader.num_workers > 0)


class TestState:
    """A run resumes after the last sample that it was trained on."""

    OPTIONS = {"size": 24, "content_grade": 0.4}  # noqa: RUF012

    def test_known_value(self, twenty, tmp_path):
        data = PhotoDataModule(twenty, batch_size=3, seed=5, **self.OPTIONS)
        assert data.state_dict() == {"samples": 0, "batches": 0, "photos": data.fingerprints(), "seed": 5}
        fit(data, 4)
        assert data.state_dict() == {"samples": 12, "batches": 4, "photos": data.fingerprints(), "seed": 5}

    @pytest.mark.parametrize("workers", [0, 2])
    def test_resumed_run_equals_an_uninterrupted_one(self, twenty, tmp_path, workers):
        def data():
            return PhotoDataModule(twenty, batch_size=4, num_workers=workers, **self.OPTIONS)

        straight = fit(data(), 7)
        first = fit(data(), 4, save=tmp_path / "last.ckpt")
        second = fit(data(), 7, resume=tmp_path / "last.ckpt")
        assert positions(second)[0] == [16, 17, 18, 19]
        assert torch.equal(torch.cat([contents(first), contents(second)]), contents(straight))
        assert [batch.seed for batch in first.trained + second.trained] == [batch.seed for batch in straight.trained]

    def test_with_another_batch_size(self, twenty, tmp_path):
        fit(PhotoDataModule(twenty, batch_size=4, **self.OPTIONS), 3, save=tmp_path / "a.ckpt")
        data = PhotoDataModule(twenty, batch_size=5, **self.OPTIONS)
        assert positions(fit(data, 5, resume=tmp_path / "a.ckpt", save=tmp_path / "b.ckpt")) == [
            [12, 13, 14, 15, 16],
            [17, 18, 19, 20, 21],
        ]
        assert (data.state_dict()["samples"], data.state_dict()["batches"]) == (22, 5)
        # Resumed again with a third batch size: earlier samples count as they were.
        again = fit(PhotoDataModule(twenty, batch_size=2, **self.OPTIONS), 6, resume=tmp_path / "b.ckpt")
        assert positions(again) == [[22, 23]]

    def test_resumes_with_a_moved_folder(self, tmp_path):
        save_photos(tmp_path / "here", 12)
        fit(PhotoDataModule(tmp_path / "here", batch_size=2), 1, save=tmp_path / "last.ckpt")
        (tmp_path / "here").rename(tmp_path / "there")
        seen = fit(PhotoDataModule(tmp_path / "there", batch_size=2), 2, resume=tmp_path / "last.ckpt")
        assert positions(seen) == [[2, 3]]

    @pytest.mark.parametrize("change", ["more", "fewer", "another name", "others held out"])
    def test_rejects_other_photos(self, tmp_path, change):
        save_photos(tmp_path / "photos", 30)
        data = PhotoDataModule(tmp_path / "photos")
        state = data.state_dict()
        PhotoDataModule(tmp_path / "photos").load_state_dict(state)
        last = tmp_path / "photos" / "photo29.png"
        if change == "more":
            last.with_name("photo30.png").write_bytes(last.read_bytes())
        elif change == "fewer":
            last.unlink()
        elif change == "another name":
            last.rename(last.with_name("photo99.png"))
        other = PhotoDataModule(tmp_path / "photos", num_val=1 if change == "others held out" else 8)
        with pytest.raises(InputError, match=r"^photos: the number or the names of the photos differ .* init_from"):
            other.load_state_dict(state)


class TestValDataloader:
    def test_shape(self, tmp_path):
        save_photos(tmp_path / "wide", 1, (96, 64))
        save_photos(tmp_path / "tall", 1, (64, 100))
        data = PhotoDataModule("sample:coffee", val_photos=[tmp_path / "wide", tmp_path / "tall"], val_size=48)
        seen = fit(data, 1, limit_val_batches=1.0, val_check_interval=1)
        # Single whole photos in order, each at its own size.
        assert [tuple(batch.content.shape) for batch in seen.val] == [(1, 3, 32, 48), (1, 3, 48, 31)]

    def test_is_the_same_every_time(self, twenty):
        data = PhotoDataModule(twenty, content_grade=1.0)
        seen = fit(data, 4, limit_val_batches=1.0, val_check_interval=2)
        assert len(seen.val) == 4
        for first, second in zip(seen.val[:2], seen.val[2:], strict=True):
            assert torch.equal(first.content, second.content)
            assert (first.seed, first.seeds) == (second.seed, second.seeds)

    def test_val_batch(self, twenty):
        data = PhotoDataModule(twenty, content_grade=1.0, val_size=48)
        seen = fit(data, 1, limit_val_batches=1.0, val_check_interval=1)
        for index, expected in enumerate(seen.val):
            batch = data.val_batch(index, torch.device("cpu"))
            assert torch.equal(batch.content, expected.content)
            assert (batch.seed, batch.seeds) == (expected.seed, expected.seeds)


class TestMemory:
    @pytest.mark.parametrize("cache_mb", [0, 1, 64])
    def test_caches_training_photos(self, twenty, cache_mb):
        data = PhotoDataModule(twenty, cache_mb=cache_mb)
        source = data.train_set.source
        assert source.free_bytes == cache_mb * 2**20
        for position in range(23):
            data.train_set[position]
        assert len(source.cached) == (0 if cache_mb == 0 else 23)


class TestCollate:
    def test_loaders_use_an_overriding_collate(self, twenty):
        class Counted(PhotoDataModule):
            collate = staticmethod(len)

        data = Counted(twenty, size=24, batch_size=3)
        assert next(iter(data.train_dataloader())) == 3
        assert next(iter(data.val_dataloader())) == 1

    def test_without_a_trainer(self, twenty):
        batch = next(iter(PhotoDataModule(twenty, batch_size=3).train_dataloader()))
        assert isinstance(batch, SampleBatch)
        assert batch.positions == (0, 1, 2)


class TestRejects:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"num_val": 0}, "num_val: expected at least 1, got 0"),
            ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
            ({"batch_size": 10**9}, "batch_size: expected at most 16384 photos of 256x256 px, got 1000000000"),
            ({"size": 8192, "batch_size": 17}, "batch_size: expected at most 16 photos of 8192x8192 px, got 17"),
            ({"size": 0}, "size: expected at least 16, got 0"),
            ({"size": 1}, "size: expected at least 16, got 1"),
            ({"size": -64}, "size: expected at least 16, got -64"),
            ({"size": 100_000}, "size: expected at most 8192, got 100000"),
            ({"scale": [1, 0.3]}, "scale: expected the smallest share before the largest, got 1.0, 0.3"),
            ({"scale": [0.5, 3]}, "scale.1: expected at most 1.0, got 3"),
            ({"scale": [2, 3]}, "scale.0: expected at most 1.0, got 2; scale.1: expected at most 1.0, got 3"),
            ({"scale": [0, 1]}, "scale.0: expected more than 0.0, got 0"),
            ({"scale": [math.nan, 1]}, "scale.0: expected a finite number, got nan"),
            ({"scale": 0.5}, "scale: expected a list, got 0.5"),
            ({"num_workers": -1}, "num_workers: expected at least 0, got -1"),
            ({"num_workers": 10**6}, "num_workers: expected at most 256, got 1000000"),
            ({"cache_mb": -5}, "cache_mb: expected at least 0, got -5"),
            ({"val_size": 1}, "val_size: expected at least 16, got 1"),
            ({"min_side": 15}, "min_side: expected at least 16, got 15"),
            ({"content_grade": math.nan}, "content_grade: expected a finite number, got nan"),
            ({"content_grade": math.inf}, "content_grade: expected a finite number, got inf"),
            ({"content_grade": -1}, "content_grade: expected at least 0.0, got -1"),
        ],
    )
    def test_rejects_arguments_out_of_range(self, twenty, arguments, message):
        with pytest.raises(InputError) as error:
            PhotoDataModule(twenty, **arguments)
        assert str(error.value) == message

    def test_accepts_the_limits(self, twenty):
        data = PhotoDataModule(twenty, scale=(1, 1), size=8192, batch_size=16, num_workers=0, cache_mb=0, val_size=16)
        assert (data.scale, data.batch_transform.size) == ((1.0, 1.0), 8192)

    def test_rejects_pipes(self, twenty, tmp_path):
        # Opening a pipe blocks until its other end is opened.
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(InputError, match=r"^photos: .*pipe\.png: is a pipe or a device, expected a photo in a reg"):
            PhotoDataModule(tmp_path / "pipe.png")
        with pytest.raises(InputError, match=r"^val_photos: .*pipe\.png: is a pipe or a device"):
            PhotoDataModule(twenty, val_photos=[tmp_path / "pipe.png"])
        with pytest.raises(InputError, match=r"^photos: no photo in "):
            PhotoDataModule(tmp_path)
        with pytest.raises(InputError, match=r"^masks: .*pipe\.png is not a folder$"):
            PhotoDataModule(twenty, masks=tmp_path / "pipe.png")

    @pytest.mark.parametrize("name", ["photos", "val_photos", "masks"])
    def test_rejects_empty_names(self, twenty, name):
        with pytest.raises(InputError, match=rf"^{name}: expected a path, got an empty text$"):
            PhotoDataModule(**{"photos": twenty, name: ""})

    @pytest.mark.parametrize("name", ["photos", "val_photos", "masks"])
    def test_rejects_names_that_the_system_refuses(self, twenty, name):
        with pytest.raises(InputError, match=rf"^{name}: /x+: can't be read \(File name too long\)$"):
            PhotoDataModule(**{"photos": twenty, name: f"/{'x' * 300}"})

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
        with pytest.raises(
            InputError, match=rf"^photos: none of the {count} photos can be read; first error: .*photo00"
        ):
            PhotoDataModule(tmp_path)

    def test_rejects_photos_as_masks(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 12)
        with pytest.raises(
            InputError, match=r"^photos: none of the 12 photos can be read; first error: .*00\.png: .* nine colours"
        ):
            PhotoDataModule(photos, masks=save_photos(tmp_path / "masks", 12))

    def test_skips_a_photo_whose_mask_is_a_photo(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 4)
        masks = save_masks(tmp_path / "masks", 4)
        (masks / "photo02.png").write_bytes((photos / "photo02.png").read_bytes())
        data = PhotoDataModule(photos, num_val=1, masks=masks, size=24, batch_size=4)
        (line,) = fit(data, 1).trained[0].skipped
        assert line.startswith(f"{masks / 'photo02.png'}: ")
        assert "far from each of the nine colours" in line

    def test_rejects_masks_that_do_not_fit(self, tmp_path):
        photos = save_photos(tmp_path / "photos", 12)
        with pytest.raises(InputError, match="another aspect ratio"):
            PhotoDataModule(photos, masks=save_masks(tmp_path / "masks", 12, (64, 64)))
