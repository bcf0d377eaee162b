import logging
import warnings
from pathlib import Path

import pytest

import lookcast.photos
from lookcast.training.report import TrainResult, print_summary, quieten

FIGURES = {"val/style_distance": 0.1, "val/style_distance_untouched": 0.4, "val/edge_ssim": 0.987}


class TestPrintSummary:
    @pytest.mark.parametrize(("held_out", "said"), [(True, "not trained on"), (False, "were trained on")])
    def test_known_value(self, tmp_path, monkeypatch, capsys, held_out, said):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "run" / "samples").mkdir(parents=True)
        for step in (8, 16):
            (tmp_path / "run" / "samples" / f"step_{step:06d}.png").touch()
        print_summary(TrainResult(tmp_path / "run", tmp_path / "run" / "look.safetensors", FIGURES, held_out))
        lines = capsys.readouterr().out.split("\n")
        assert said in lines[1]
        assert lines[2:] == [
            "  style distance to the style photo  0.100, untouched 0.400 (25%)",
            "  edge SSIM to the content           0.987",
            "",
            "checkpoint  run/look.safetensors",
            "picture     run/samples/step_000016.png  (content | style | output)",
            "run folder  run",
            "try next    lookcast stylize PHOTO --checkpoint run/look.safetensors -o stylized.jpg",
            "",
        ]

    def test_without_pictures(self, tmp_path, capsys):
        print_summary(TrainResult(tmp_path, tmp_path / "look.safetensors", FIGURES, True))
        assert "\npicture " not in capsys.readouterr().out

    def test_the_next_command_can_be_pasted(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        print_summary(TrainResult(tmp_path, tmp_path / "my look.safetensors", FIGURES, True))
        assert "lookcast stylize PHOTO --checkpoint 'my look.safetensors' -o" in capsys.readouterr().out

    def test_content_that_has_the_look_already(self, tmp_path, capsys):
        figures = {**FIGURES, "val/style_distance": 0.0, "val/style_distance_untouched": 0.0}
        print_summary(TrainResult(tmp_path, tmp_path / "look.safetensors", figures, True))
        assert "0.000, untouched 0.000" in capsys.readouterr().out


class TestQuieten:
    @pytest.fixture(autouse=True)
    def restore(self):
        loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lookcast.photos.modes")]
        before = [(logger.level, list(logger.filters)) for logger in loggers]
        with warnings.catch_warnings():
            yield
        for logger, (level, filters) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.filters[:] = filters

    def test_what_is_odd_about_a_photo_is_said_once(self, caplog):
        quieten()
        quieten()
        photos, others = logging.getLogger("lookcast.photos.modes"), logging.getLogger("lookcast.training")
        for path in ("a.png", "b.png", "a.png", "a.png"):
            photos.warning("%s: has 16 bits per colour, read at 8 bits", path)
            others.warning("%s", path)
        messages = [record.getMessage() for record in caplog.records if record.name == photos.name]
        assert messages == [f"{name}.png: has 16 bits per colour, read at 8 bits" for name in "ab"]
        assert len(photos.filters) == 1
        assert len(caplog.messages) == 2 + 4

    def test_every_module_that_speaks_of_photos_it_reads(self):
        quieten()
        silent = {"writing"}  # of files, which a training does not write
        for path in Path(lookcast.photos.__file__).parent.glob("*.py"):
            if "getLogger" in path.read_text() and path.stem not in silent:
                assert logging.getLogger(f"lookcast.photos.{path.stem}").filters, path.stem

    def test_lightning_still_warns_of_what_matters(self, recwarn):
        quieten()
        warnings.warn("Found 30 module(s) in eval mode at the start of training. This may", stacklevel=1)
        warnings.warn("Consider increasing the value of something else", stacklevel=1)
        assert [str(warning.message) for warning in recwarn] == ["Consider increasing the value of something else"]
        assert logging.getLogger("pytorch_lightning").level == logging.WARNING
