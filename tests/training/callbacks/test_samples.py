from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import lookcast
from lookcast.checks import InputError
from lookcast.generators import Generator
from lookcast.structures import PhotoBatch, Stylization
from lookcast.training.callbacks import SampleSheet
from lookcast.training.modules.single import LookModule
from tests.runs import QUIET, save_photos
from tests.training.callbacks.trainers import trainer

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class StyleColor(Generator):
    """Fill the photo with the mean colour of the style photo."""

    name, takes_style, arguments = "style colour", True, {}

    def stylize(self, content, style, content_mask, style_mask):
        assert not self.training
        return Stylization(style.mean((-2, -1), keepdim=True).expand_as(content))


class TestSampleSheet:
    HEIGHT = 60

    @pytest.fixture
    def sheet(self, run, tmp_path):
        """Cells of the picture after two steps, the photos, and the result of the run."""
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
        """Assert that the box holds the resized image on a white background."""
        left, top, right, bottom = box
        # Pillow rounds to 8 bits after resizing along each axis.
        expected = np.array(image.resize((right - left, bottom - top), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(cell[top:bottom, left:right] - expected).max() <= 2
        around = np.ones(cell.shape[:2], bool)
        around[top:bottom, left:right] = False
        assert (cell[around] == 255).all()

    def test_matches_the_photos(self, sheet):
        cells, photos, result = sheet
        style = Image.open(lookcast.data.sources.samples.sample_path("coffee")).resize(
            (512, 341), Image.Resampling.BILINEAR
        )
        stylizer = lookcast.load(result.checkpoint)
        for row, photo, box in zip(cells, photos, [(30, 0, 60, 60), (0, 19, 90, 41)], strict=False):
            content = Image.open(photo)
            self.agree(row[0], content, box)
            self.agree(row[1], style, (0, 0, 90, 60))
            self.agree(row[2], stylizer.stylize(content), box)
            assert np.abs(row[2].astype(int) - row[0]).max() > 10

    def test_does_not_change_the_training(self, run, monkeypatch):
        modes, step = [], LookModule.training_step

        def spy(self, batch, index):
            modes.append(self.generator.training)
            return step(self, batch, index)

        monkeypatch.setattr(LookModule, "training_step", spy)
        # Drawing after every step or after none gives the same losses and weights.
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
            PhotoBatch(torch.full((1, 3, 20, 30), 0.2 * n), style=color.expand(1, 3, 20, 30))
            for n, color in enumerate(colors, 1)
        ]
        data = SimpleNamespace(val_set=pairs, val_batch=lambda index, device: pairs[index])
        run = trainer(datamodule=data, loggers=[], global_step=7)
        SampleSheet(tmp_path, 1, height=20).draw(run, module)
        picture = np.array(Image.open(tmp_path / "step_000007.png"))
        # Centres of content, style and output, 20 x 30 pixels each with a border of 4.
        centres = picture[4 + 10 :: 24, 4 + 15 :: 34].tolist()
        red, blue = [255, 0, 0], [0, 0, 255]
        assert centres == [[[51, 51, 51], red, red], [[102, 102, 102], blue, blue]]

    def test_is_drawn_every_n_steps_and_at_the_end(self, run):
        result = run("callbacks.samples.every_n_steps=2", "trainer.max_steps=5")
        names = sorted(path.name for path in (result.run_dir / "samples").iterdir())
        assert names == ["step_000002.png", "step_000004.png", "step_000005.png"]

    @pytest.mark.parametrize(
        ("name", "value", "limit"),
        [
            ("every_n_steps", 0, "at least 1"),
            ("every_n_steps", 0.5, "a valid integer.*"),
            ("num_photos", 0, "at least 1"),
            ("num_photos", -4, "at least 1"),
            ("height", 0, "at least 1"),
            ("height", 10**9, "at most 4096"),
        ],
    )
    def test_rejects_other_numbers(self, tmp_path, name, value, limit):
        with pytest.raises(InputError, match=rf"^{name}: expected {limit}, got {value}$"):
            SampleSheet(tmp_path, **{"every_n_steps": 1, name: value})
