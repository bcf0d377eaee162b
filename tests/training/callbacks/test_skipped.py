import logging

import torch

from lookcast.structures import PhotoBatch
from lookcast.training.callbacks import SkippedPhotos
from tests.training.callbacks.trainers import trainer


class TestSkippedPhotos:
    BATCH = PhotoBatch(torch.zeros(1, 3, 2, 2))

    def test_names_each_once_and_counts_them(self, tmp_path, caplog):
        callback, run = SkippedPhotos(tmp_path / "new" / "skipped.txt"), trainer()
        with caplog.at_level(logging.WARNING):
            for skipped in (("b: broken",), (), ("a: broken", "b: broken")):
                callback.on_train_batch_end(run, None, None, self.BATCH._replace(skipped=skipped), 0)
            callback.on_train_end(run, None)
            callback.teardown(run, None, "fit")
            # The validation after the training finds one more.
            for skipped in (("b: broken",), ("c: broken",)):
                callback.on_validation_batch_end(run, None, None, self.BATCH._replace(skipped=skipped), 0)
            callback.on_validation_end(run, None)
            callback.teardown(run, None, "validate")
        said = "photos could not be read and were skipped; listed in"
        assert [message.partition(f" {tmp_path}")[0] for message in caplog.messages] == [
            "skipped b: broken", "skipped a: broken", f"2 {said}", "skipped c: broken", f"3 {said}",
        ]  # fmt: skip
        assert (tmp_path / "new" / "skipped.txt").read_text() == "b: broken\na: broken\nc: broken\n"

    def test_nothing_to_say(self, tmp_path, caplog):
        callback, run = SkippedPhotos(tmp_path / "skipped.txt"), trainer()
        callback.on_train_batch_end(run, None, None, self.BATCH, 0)
        callback.on_train_end(run, None)
        callback.teardown(run, None, "fit")
        assert caplog.messages == []
        assert not (tmp_path / "skipped.txt").exists()
