import logging
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.fitting.look_fit import LookFit
from lookcast.inference.batch import stylize_files
from lookcast.inference.jobs import plan_jobs
from lookcast.inference.photo_files import read_styles
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.read import read_photo
from tests.looks import MeanColor, Negative, assert_same_levels, look, universal_look
from tests.photo_files import save_photo
from tests.runs import GREEN, save_mask

SIZE = (96, 64)


@pytest.fixture
def universal():
    return Stylizer(MeanColor(), {}, "cpu")


def save_color(path, color, size=(6, 4)):
    Image.new("RGB", size, color).save(path)
    return path


def one_line(error):
    return "\n" not in str(error.value)


class TestStylizeFiles:
    def test_a_bad_mask_of_many_is_skipped(self, universal, tmp_path, capsys):
        photos = [save_photo(tmp_path / "in" / f"{name}.png") for name in "abcd"]
        for name, size in (("a", SIZE), ("b", (60, 60)), ("d", SIZE)):
            save_mask(tmp_path / "masks" / f"{name}.png", size)
        (tmp_path / "masks" / "c.png").write_bytes(b"no photo")
        style_mask = save_mask(tmp_path / "style_mask.png", (6, 4))
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        universal.set_style(read_styles([style], [style_mask]))
        jobs = plan_jobs(photos, tmp_path / "out", masks=tmp_path / "masks")
        failures, _ = stylize_files([universal], jobs)
        assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a.png", "d.png"]
        first, second = map(str, failures)
        assert first == (
            f"{photos[1]}: {tmp_path / 'masks' / 'b.png'}: is 60x60 pixels, its photo 96x64: "
            "another aspect ratio, so it can't be resized to fit"
        )
        assert second.startswith(f"{tmp_path / 'masks' / 'c.png'}: not a photo")
        assert capsys.readouterr().err.count("lookcast: skipped: ") == 2

    def test_a_missing_label_is_logged_for_each_photo(self, universal, tmp_path, caplog):
        photos = [save_photo(tmp_path / "in" / f"{name}.png") for name in "ab"]
        for name in "ab":
            save_mask(tmp_path / "masks" / f"{name}.png", SIZE, upper=(255, 0, 0))
        style_mask = save_mask(tmp_path / "style_mask.png", (6, 4), upper=GREEN)
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        universal.set_style(read_styles([style], [style_mask]))
        with caplog.at_level(logging.WARNING):
            assert stylize_files([universal], plan_jobs(photos, tmp_path / "out", masks=tmp_path / "masks")) == ([], 0)
        assert [r.getMessage()[:30] for r in caplog.records] == 2 * ["red covers 50 % of the content"]

    @pytest.mark.parametrize("workers", [1, 2, 5])
    def test_photos_at_a_time(self, tmp_path, workers):
        photos = [
            save_photo(tmp_path / "in" / f"{i}.png", name)
            for i, name in enumerate(4 * ["chelsea", "coffee", "astronaut"])
        ]
        stylizer = Stylizer(look(), {}, "cpu")
        threads = torch.get_num_threads()
        assert stylize_files([stylizer], plan_jobs(photos, tmp_path / "out"), workers=workers) == ([], 0)
        with ThreadPoolExecutor(1) as pool:  # what a worker sets would hold for threads that are made later
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == threads
        for photo in photos:
            expected = stylizer.stylize(read_photo(photo).pixels)
            assert_same_levels(read_photo(tmp_path / "out" / photo.name).pixels, expected)

    def test_devices_take_turns(self, tmp_path):
        stylizers = [Stylizer(MeanColor(), {}, "cpu") for _ in range(3)]
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        for stylizer in stylizers:
            stylizer.set_style(read_styles([style]))
        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(6)]
        assert stylize_files(stylizers, plan_jobs(photos, tmp_path / "out"), workers=2) == ([], 0)
        assert [len(stylizer.generator.read_photos) for stylizer in stylizers] == [3, 3, 3]  # the style, two photos

    def test_failures_come_in_the_order_of_the_jobs(self, tmp_path, capsys):
        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(9)]
        for photo in photos[::2]:
            photo.write_bytes(photo.read_bytes()[:100])
        failures, _ = stylize_files([Stylizer(look(), {}, "cpu")], plan_jobs(photos, tmp_path / "out"), workers=3)
        assert [str(failure).split(":")[0] for failure in failures] == [str(photo) for photo in photos[::2]]
        assert len(list((tmp_path / "out").iterdir())) == 4
        assert capsys.readouterr().err.count("lookcast: skipped: ") == 5

    def test_what_the_next_photo_would_fail_on_ends_the_run(self, tmp_path):
        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(200)]
        (tmp_path / "out").write_text("no folder")
        jobs = plan_jobs(photos, tmp_path / "elsewhere")
        jobs = [job._replace(target=tmp_path / "out" / job.target.name) for job in jobs]
        stylizer = Counting(Negative(), {}, "cpu")
        with pytest.raises(InputError, match=r"can't be written"):
            stylize_files([stylizer], jobs, workers=2)
        assert stylizer.count < 20

    def test_interrupted_refinement(self, tmp_path, monkeypatch):
        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(4)]
        stylizer = Stylizer(universal_look(), {}, "cpu")
        stylizer.set_style(read_styles([save_photo(tmp_path / "style.png", "coffee")]))
        states = []

        def interrupt(state):
            states.append(state.step)
            if len(states) == 6:
                os.kill(os.getpid(), signal.SIGINT)

        endless = LookFit(steps=10_000, max_side=64, tolerance=0.0, on_step=interrupt)
        with pytest.raises(KeyboardInterrupt):
            stylize_files([stylizer], plan_jobs(photos, tmp_path / "out"), workers=2, refine=endless)
        assert 6 <= len(states) < 200  # all steps of one photo would be 10,000
        assert not list(tmp_path.glob("out/*"))
        assert endless.on_step is interrupt

    @pytest.mark.slow
    def test_ctrl_c_at_any_moment_ends_the_run(self, tmp_path):
        program = [sys.executable, "-m", "tests.inference.interrupts", str(tmp_path)]
        result = subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert result.returncode == 0, result.stderr
        found = re.fullmatch(r"(\d+) of (\d+) moments\n", result.stdout)
        interrupted, moments = map(int, found.groups())
        assert interrupted > 100
        assert interrupted > moments / 2  # the threads take turns differently each time

    @pytest.mark.parametrize("workers", [0, -2])
    def test_rejects_no_worker(self, universal, workers):
        with pytest.raises(InputError, match=rf"^--jobs: expected at least 1 photo at a time, got {workers}$"):
            stylize_files([universal], [], workers=workers)


class Counting(Stylizer):
    count = 0

    def stylize(self, *arguments, **options):
        self.count += 1
        return super().stylize(*arguments, **options)
