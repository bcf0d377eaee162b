import logging
from types import SimpleNamespace

import pytest
import torch

from lookcast.checks import InputError
from lookcast.structures import PhotoBatch
from lookcast.training.callbacks import SkippedPhotos
from tests.runs import QUIET, break_photo, save_photos
from tests.training.callbacks.trainers import trainer

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class TestSkippedPhotos:
    BATCH = PhotoBatch(torch.zeros(1, 3, 2, 2))

    def test_names_each_once_and_counts_them(self, tmp_path, caplog):
        callback, run = SkippedPhotos(tmp_path / "new" / "skipped.txt"), trainer()
        with caplog.at_level(logging.WARNING):
            for skipped in (("b: broken",), (), ("a: broken", "b: broken")):
                callback.on_train_batch_end(run, None, None, self.BATCH._replace(skipped=skipped), 0)
            callback.on_train_end(run, None)
            callback.teardown(run, None, "fit")
            # The validation after training finds one more.
            for skipped in (("b: broken",), ("c: broken",)):
                callback.on_validation_batch_end(run, None, None, self.BATCH._replace(skipped=skipped), 0)
            callback.on_validation_end(run, None)
            callback.teardown(run, None, "validate")
        said = "photos could not be read and were skipped; listed in"
        assert [message.partition(f" {tmp_path}")[0] for message in caplog.messages] == [
            "skipped b: broken", "skipped a: broken", f"2 {said}", "skipped c: broken", f"3 {said}",
        ]  # fmt: skip
        assert (tmp_path / "new" / "skipped.txt").read_text() == "b: broken\na: broken\nc: broken\n"

    def test_silent_without_skipped_photos(self, tmp_path, caplog):
        callback, run = SkippedPhotos(tmp_path / "skipped.txt"), trainer()
        callback.on_train_batch_end(run, None, None, self.BATCH, 0)
        callback.on_train_end(run, None)
        callback.teardown(run, None, "fit")
        assert caplog.messages == []
        assert not (tmp_path / "skipped.txt").exists()


class TestTooMany:
    """A real run on photos of which some are broken."""

    @pytest.fixture
    def photos(self, tmp_path):
        folder = save_photos(tmp_path / "photos", 40)
        for number in (3, 7, 30):
            break_photo(folder / f"photo{number:02d}.png")
        return folder

    LENGTH = ("data=folder", "trainer.max_steps=30", "trainer.val_check_interval=30", "data.batch_size=4")

    def test_stops_the_run_and_lists_them(self, run, photos, tmp_path):
        said = r"^photos: \d of \d+ can't be read, more than 1%; they are listed in .*skipped_photos\.txt; callbacks"
        with pytest.raises(InputError, match=said):
            run(*self.LENGTH, f"data.photos={photos}")
        listed = (tmp_path / "run" / "skipped_photos.txt").read_text().splitlines()
        assert 2 <= len(listed) <= 3
        assert not (tmp_path / "run" / "look.safetensors").exists()

    def test_the_config_sets_the_limit(self, run, photos):
        result = run(*self.LENGTH, f"data.photos={photos}", "callbacks.skipped.max_share=0.1")
        assert result.stats.steps == 30
        assert len((result.run_dir / "skipped_photos.txt").read_text().splitlines()) == 3

    def test_a_run_that_logs_nothing(self, run, photos):
        limits = ("callbacks.skipped.max_share=1", "trainer.log_every_n_steps=0")
        assert run(*self.LENGTH, f"data.photos={photos}", *limits).stats.steps == 30

    def test_a_single_one_stops_nothing(self, run, photos):
        for number in (3, 7):
            (photos / f"photo{number:02d}.png").unlink()
        assert run(*self.LENGTH, f"data.photos={photos}").stats.skipped == 1

    def test_a_large_set_may_begin_with_broken_ones(self, tmp_path):
        # 8 of the first 20 of 100,000: less than 1 % of a thousand. Of 3,000 read, 31 are too many.
        callback = SkippedPhotos(tmp_path / "skipped.txt")
        same = SimpleNamespace(root_device=torch.device("cpu"), reduce=lambda tensor, reduce_op: tensor)
        many = trainer(datamodule=SimpleNamespace(num_photos=100_000), strategy=same, log_every_n_steps=1)

        def read(photos, *names):
            batch = PhotoBatch(torch.zeros(1, 3, 1, 1).expand(photos, -1, -1, -1), skipped=names)
            callback.on_train_batch_end(many, None, None, batch, 0)

        read(20, *(f"{number}: broken" for number in range(8)))
        read(2980, *(f"{number}: broken" for number in range(30)))
        with pytest.raises(InputError, match=r"^photos: 31 of 3001 can't be read, more than 1%;"):
            read(1, "31: broken")

    @pytest.mark.parametrize(
        ("share", "limit"),
        [(-0.1, "at least 0.0"), (1.1, "at most 1.0"), (float("nan"), "a finite number")],
    )
    def test_rejects_other_shares(self, tmp_path, share, limit):
        with pytest.raises(InputError, match=rf"^max_share: expected {limit}, got {share}$"):
            SkippedPhotos(tmp_path / "list", share)
