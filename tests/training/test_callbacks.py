import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.trainer.states import TrainerFn

import lookcast
from lookcast.checks import InputError
from lookcast.data.pairs import PairSample, collate_pairs
from lookcast.data.photo_folder import PhotoSample
from lookcast.generators import Generator
from lookcast.structures import PhotoBatch, Stylization
from lookcast.training.callbacks import LastCheckpoint, RunProgress, SampleSheet, SkippedPhotos
from lookcast.training.module import LookModule
from tests.runs import QUIET, save_photos

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


def trainer(**attributes):
    """As much of a Trainer as a callback looks at."""
    defaults = {"is_global_zero": True, "world_size": 1, "global_step": 0, "max_steps": 8, "sanity_checking": False}
    return SimpleNamespace(**{**defaults, **attributes})


class TestRunProgress:
    def test_known_value(self, capfd):
        progress, run = RunProgress(), trainer(global_step=5, accumulate_grad_batches=2)
        outputs = {"loss": torch.tensor(0.125)}  # as Lightning hands it on, divided by the accumulated batches
        progress.on_train_start(run, None)
        assert (progress.bar.n, progress.bar.total) == (5, 8)  # a resumed run goes on where it stood
        run.global_step = 6
        progress.on_train_batch_end(run, None, outputs, None, 0)
        progress.on_train_batch_end(run, None, outputs, None, 1)  # of the same step, with accumulated gradients
        assert progress.bar.n == 6
        run.global_step = 8
        progress.on_train_batch_end(run, None, outputs, None, 2)
        progress.on_train_end(run, None)
        shown = capfd.readouterr().err.split("\r")[-1]
        assert "8/8" in shown
        assert "loss=0.250" in shown

    def test_a_run_without_end_has_no_total(self, capfd):
        progress = RunProgress()
        progress.on_train_start(trainer(max_steps=-1), None)
        assert progress.bar.total is None
        progress.on_train_end(None, None)

    def test_is_left_where_a_run_breaks_off(self, capfd):
        progress = RunProgress()
        progress.on_exception(None, None, ValueError())  # before the first step there is none
        progress.on_train_start(trainer(global_step=3), None)
        progress.on_exception(None, None, ValueError())
        shown = capfd.readouterr().err
        assert "3/8" in shown.split("\r")[-1]
        assert shown.endswith("\n")

    def test_one_bar_for_all_processes(self, capfd):
        progress = RunProgress()
        progress.on_train_start(trainer(is_global_zero=False), None)
        progress.on_train_end(None, None)
        assert capfd.readouterr().err == ""


class StyleColor(Generator):
    """Gives the whole photo the mean colour of the style photo."""

    name, takes_style, arguments = "style colour", True, {}

    def forward(self, content, style=None, content_mask=None, style_mask=None):
        assert not self.training
        return Stylization(style.mean((-2, -1), keepdim=True).expand_as(content))


class TestSampleSheet:
    HEIGHT = 60

    @pytest.fixture
    def sheet(self, run, tmp_path):
        """The picture after two steps, rows of cells, and the run that drew it."""
        tall, wide = save_photos(tmp_path / "tall", 1, (40, 80)), save_photos(tmp_path / "wide", 1, (120, 30))
        photos = [tall / "photo00.png", wide / "photo00.png", "sample:chelsea"]
        result = run(
            f"data.val_photos=[{','.join(map(str, photos))}]", "data.val_size=512", "style_size=512",
            "optimizer.lr=0.02", "scheduler=constant",
            "callbacks.samples.num_photos=2", f"+callbacks.samples.height={self.HEIGHT}",
        )  # fmt: skip
        picture = np.array(Image.open(result.run_dir / "samples" / "step_000002.png"))
        height, width = self.HEIGHT + 4, self.HEIGHT * 3 // 2 + 4
        assert picture.shape == (2 * height + 4, 3 * width + 4, 3)
        cells = [
            [picture[4 + row * height : (row + 1) * height, 4 + c * width : (c + 1) * width] for c in range(3)]
            for row in range(2)
        ]
        return cells, photos, result

    @staticmethod
    def agree(cell, image, box):
        """Inside the box it is the image, resized; around it the card is white."""
        left, top, right, bottom = box
        # Pillow resizes in 8-bit steps, a row and a column at a time.
        expected = np.array(image.resize((right - left, bottom - top), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(cell[top:bottom, left:right] - expected).max() <= 2
        around = np.ones(cell.shape[:2], bool)
        around[top:bottom, left:right] = False
        assert (cell[around] == 255).all()

    def test_matches_the_photos(self, sheet):
        cells, photos, result = sheet
        style = Image.open(lookcast.data.samples.sample_path("coffee")).resize((512, 341), Image.Resampling.BILINEAR)
        stylizer = lookcast.load(result.checkpoint)
        for row, photo, box in zip(cells, photos, [(30, 0, 60, 60), (0, 19, 90, 41)], strict=False):
            content = Image.open(photo)
            self.agree(row[0], content, box)
            self.agree(row[1], style, (0, 0, 90, 60))
            self.agree(row[2], stylizer.stylize(content), box)
            assert np.abs(row[2].astype(int) - row[0]).max() > 10

    def test_leaves_the_training_as_it_was(self, run, monkeypatch):
        modes, step = [], LookModule.training_step

        def spy(self, batch, index):
            modes.append(self.generator.training)
            return step(self, batch, index)

        monkeypatch.setattr(LookModule, "training_step", spy)
        # Drawn after every step or after none: the same losses, the same weights.
        figures = [
            run(f"callbacks.samples.every_n_steps={n}", "trainer.max_steps=3", name=str(n)).metrics for n in (1, 100)
        ]
        assert figures[0] == figures[1]
        assert modes == [True] * 6

    def test_pairs_are_drawn_with_their_own_styles(self, tmp_path):
        nothing = SimpleNamespace(content=0, style=0)
        loss = SimpleNamespace(content=SimpleNamespace(taps=()), style=SimpleNamespace(taps=()), weights=nothing)
        module = LookModule(StyleColor(), SimpleNamespace(taps=("a",)), loss, None, None, None, None, {})
        colors = [torch.tensor(rgb).view(3, 1, 1) for rgb in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))]
        pairs = [
            PairSample(
                PhotoSample(torch.full((3, 20, 30), 0.2 * n), None, ()), PhotoSample(c.expand(3, 20, 30), None, ())
            )
            for n, c in enumerate(colors, 1)
        ]
        run = trainer(datamodule=SimpleNamespace(val_set=pairs, collate=collate_pairs), loggers=[], global_step=7)
        SampleSheet(tmp_path, 1, height=20).draw(run, module)
        picture = np.array(Image.open(tmp_path / "step_000007.png"))
        # Content, style, output, 20 x 30 pixels each with 4 around: their middles.
        middles = picture[4 + 10 :: 24, 4 + 15 :: 34].tolist()
        red, blue = [255, 0, 0], [0, 0, 255]
        assert middles == [[[51, 51, 51], red, red], [[102, 102, 102], blue, blue]]

    def test_is_drawn_at_the_asked_for_steps_and_at_the_end(self, run):
        result = run("callbacks.samples.every_n_steps=2", "trainer.max_steps=5")
        names = sorted(path.name for path in (result.run_dir / "samples").iterdir())
        assert names == ["step_000002.png", "step_000004.png", "step_000005.png"]

    @pytest.mark.parametrize("every", [0, -1, 0.5])
    def test_rejects_intervals_below_one(self, tmp_path, every):
        with pytest.raises(InputError, match=rf"^every_n_steps: expected at least 1, got {every}$"):
            SampleSheet(tmp_path, every)


class TestLastCheckpoint:
    @pytest.fixture
    def saved(self, tmp_path):
        """Steps that were written, and a trainer that writes down its step."""
        steps = []
        run = trainer(state=SimpleNamespace(fn=TrainerFn.FITTING))
        run.save_checkpoint = lambda path, weights_only: steps.append((path.name, run.global_step, weights_only))
        return steps, run, LastCheckpoint(tmp_path / "last.ckpt")

    def test_known_value(self, saved):
        steps, run, callback = saved
        for run.global_step in (4, 8):
            callback.on_validation_end(run, None)
        run.global_step = 9
        callback.on_train_end(run, None)
        assert steps == [("last.ckpt", step, False) for step in (4, 8, 9)]

    def test_is_not_written_twice(self, saved):
        steps, run, callback = saved
        run.global_step = 8
        callback.on_validation_end(run, None)
        callback.on_train_end(run, None)
        assert len(steps) == 1

    def test_only_within_a_training(self, saved):
        steps, run, callback = saved
        run.sanity_checking = True
        callback.on_validation_end(run, None)
        run.sanity_checking, run.state.fn = False, TrainerFn.VALIDATING
        callback.on_validation_end(run, None)
        assert steps == []


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
