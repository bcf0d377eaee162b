import pytest

from lookcast.training.stats import RunStats
from lookcast.training.summary import TrainResult, print_summary

FIGURES = {"val/style_distance": 0.1, "val/style_distance_untouched": 0.4, "val/edge_ssim": 0.987}


class TestPrintSummary:
    @pytest.mark.parametrize(("held_out", "said"), [(True, "not trained on"), (False, "were trained on")])
    def test_known_value(self, tmp_path, monkeypatch, capsys, held_out, said):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "run" / "samples").mkdir(parents=True)
        for step in (8, 16):
            (tmp_path / "run" / "samples" / f"step_{step:06d}.png").touch()
        work = RunStats(steps=16, images=64, seconds=80.0, waited=4.0)
        print_summary(TrainResult(tmp_path / "run", tmp_path / "run" / "look.safetensors", FIGURES, held_out, work))
        lines = [line.rstrip() for line in capsys.readouterr().out.split("\n")]
        assert said in lines[1]
        table = [line.split() for line in lines if line.startswith((" style", " edge", "  "))]
        assert table == [
            ["untouched", "trained"],
            ["style", "distance", "to", "the", "style", "photo", "0.400", "0.100"],
            ["edge", "SSIM", "to", "the", "content", "1.000", "0.987"],
        ]
        assert lines[-6:] == [
            "steps       16 in 0:01:20, 0.8 images/s, 5% of the time waiting for photos",
            "checkpoint  run/look.safetensors",
            "picture     run/samples/step_000016.png  (content | style | output)",
            "run folder  run",
            "try next    lookcast stylize PHOTO --checkpoint run/look.safetensors -o stylized.jpg",
            "",
        ]

    @pytest.fixture
    def say(self, tmp_path, monkeypatch, capsys):
        """Lines of the summary of a run that has these steps and that checkpoint."""

        def said(work, folder="."):
            monkeypatch.chdir(tmp_path)
            print_summary(TrainResult(tmp_path, tmp_path / folder / "look.safetensors", FIGURES, True, work))
            return capsys.readouterr().out.splitlines()

        return said

    def test_without_pictures(self, say):
        assert not [line for line in say(RunStats(steps=16)) if line.startswith(("picture", "skipped"))]

    def test_steps_that_nobody_measured(self, say):
        assert "steps       16" in say(RunStats(steps=16))

    def test_a_resumed_run(self, say):
        assert (
            "steps       16 (6 since it was resumed) in 0:00:03, 4.0 images/s, 0% of the time waiting for photos"
            in say(RunStats(steps=16, images=12, seconds=3.0, first_step=10))
        )

    def test_skipped_photos(self, say):
        assert "skipped     3 photos that can't be read, see ./skipped_photos.txt" in say(RunStats(steps=16, skipped=3))

    def test_the_next_command_can_be_pasted(self, say):
        folder = "my looks/" + "of a long name " * 6
        command = f"lookcast stylize PHOTO --checkpoint '{folder}/look.safetensors' -o stylized.jpg"
        assert f"try next    {command}" in say(RunStats(steps=16), folder)
