import io

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lookcast.checks import InputError
from lookcast.structures import LossTerms
from lookcast.training.loggers import RunTensorBoard, tensorboard
from tests.runs import QUIET, read_metrics

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


def read(folder):
    """Return what TensorBoard shows of a run."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    events.Reload()
    return events


class TestRunTensorBoard:
    def test_a_resumed_curve_has_no_step_twice(self, tmp_path):
        for start, value in ((0, 1.0), (3, 2.0)):
            logger = RunTensorBoard(tmp_path)
            logger.resume_at(start)
            for step in range(start, 6):
                logger.log_metrics({"loss": value}, step)
            logger.finalize("success")
        shown = [(event.step, event.value) for event in read(tmp_path).Scalars("loss")]
        assert shown == [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]

    def test_rejects_a_missing_tensorboard(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
        with pytest.raises(InputError, match=r"^logger=tensorboard: needs tensorboard; say pip install "):
            RunTensorBoard(tmp_path)


class TestRun:
    def test_shows_what_metrics_csv_holds_and_the_pictures(self, run):
        common = ("logger=tensorboard", "trainer.val_check_interval=2", "scheduler=constant")
        folder = run(*common, "trainer.max_steps=2").run_dir
        run(*common, "trainer.max_steps=4")
        shown, rows = read(folder), read_metrics(folder)
        tags = {f"train/loss/{name}" for name in LossTerms._fields}
        tags |= {"val/style_distance", "lr-AdamW", "train/images_per_second", "train/data_wait", "train/step_seconds"}
        assert tags <= set(shown.Tags()["scalars"])
        for tag in tags:
            curve = [(event.step, pytest.approx(event.value)) for event in shown.Scalars(tag)]
            assert curve == [(row["step"], row[tag]) for row in rows if tag in row]
        pictures = shown.Images("samples")
        assert [picture.step for picture in pictures] == [1, 3]
        for picture in pictures:
            drawn = Image.open(folder / "samples" / f"step_{picture.step + 1:06d}.png")
            assert np.array_equal(Image.open(io.BytesIO(picture.encoded_image_string)), drawn)
        table = shown.Tensors("result/text_summary")[-1].tensor_proto.string_val[0].decode()
        assert f"| style distance to the style photo | {rows[-1]['val/style_distance_untouched']:.4f} |" in table
        assert list((folder / "tensorboard").glob("hparams.yaml")) == []
