import csv
import multiprocessing
import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from pytorch_lightning.utilities import rank_zero_only

from lookcast.checks import InputError
from lookcast.training.loggers import MetricsCSV
from tests.runs import QUIET, read_metrics

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


def log(logger, *rows):
    """Log rows of (step, figures) as Lightning does."""
    for step, figures in rows:
        logger.log_metrics(figures, step)
        logger.save()


def text(folder):
    return (folder / "metrics.csv").read_text()


def log_for_ever(folder):
    """Log rows without end; from time to time there is a new column, up to 40."""
    logger = MetricsCSV(folder)
    for step in range(10**9):
        log(logger, (step, {f"column{n:02d}": step + n / 7 for n in range(1 + step // 50 % 40)}))


class TestMetricsCSV:
    def test_known_value(self, tmp_path):
        logger = MetricsCSV(tmp_path / "new")
        logger.log_metrics({"lr": 0.5}, 0)  # figures of one step before Lightning saves share a row
        log(logger, (0, {"loss": torch.tensor(2.0), "epoch": 0}), (1, {"loss": 1.5}), (1, {"val": 0.25}))
        assert text(tmp_path / "new") == "step,epoch,loss,lr,val\n0,0,2.0,0.5,\n1,,1.5,,\n1,,,,0.25\n"

    def test_an_unsaved_row_is_written_before_the_next_step_and_at_the_end(self, tmp_path):
        logger = MetricsCSV(tmp_path)
        logger.log_metrics({"lr": 0.5}, 0)
        logger.log_metrics({"lr": 0.25}, 1)
        assert text(tmp_path) == "step,lr\n0,0.5\n"
        logger.finalize("success")
        assert text(tmp_path) == "step,lr\n0,0.5\n1,0.25\n"

    @pytest.mark.parametrize("told", [True, False])
    def test_a_resumed_run_writes_the_table_of_an_uninterrupted_one(self, tmp_path, told):
        rows = [(n, {"loss": 1 / (n + 1)}) for n in range(8)]
        rows[4:4] = [(3, {"val": 0.5})]
        straight, resumed = MetricsCSV(tmp_path / "straight"), MetricsCSV(tmp_path / "resumed")
        log(straight, *rows)
        log(resumed, *rows[:7])  # killed after step 5; the checkpoint was written after step 3
        resumed = MetricsCSV(tmp_path / "resumed")
        if told:
            resumed.resume_at(4)
        log(resumed, *rows[5:])
        assert text(tmp_path / "resumed") == text(tmp_path / "straight")

    def test_a_run_from_the_start_begins_a_new_table(self, tmp_path):
        log(MetricsCSV(tmp_path), (0, {"loss": 2.0, "gone": 1.0}), (9, {"loss": 1.0}))
        logger = MetricsCSV(tmp_path)
        logger.resume_at(0)
        log(logger, (3, {"loss": 0.5}))
        assert text(tmp_path) == "step,loss\n3,0.5\n"

    @pytest.mark.parametrize("half", ["4,", "4,0.12", "4"])
    def test_half_a_row_is_dropped(self, tmp_path, half):
        log(MetricsCSV(tmp_path), (3, {"loss": 0.5}))
        with (tmp_path / "metrics.csv").open("a") as file:
            file.write(half)
        logger = MetricsCSV(tmp_path)
        logger.resume_at(5)
        log(logger, (5, {"loss": 0.25}))
        assert text(tmp_path) == "step,loss\n3,0.5\n5,0.25\n"

    def test_a_row_does_not_copy_the_table(self, tmp_path):
        logger, path = MetricsCSV(tmp_path), tmp_path / "metrics.csv"
        log(logger, (0, {"loss": 2.0}))
        files = []
        for step in range(1, 200):
            log(logger, (step, {"loss": 1.0} if step % 100 else {"val": 1.0}))
            files.append(path.stat().st_ino)
        assert sum(a != b for a, b in pairwise(files)) == 1  # for the new column

    def test_a_killed_run_leaves_a_table_that_can_be_read(self, tmp_path):
        for number in range(5):
            folder = tmp_path / str(number)
            process = multiprocessing.get_context("fork").Process(target=log_for_ever, args=(folder,))
            process.start()
            while not (folder / "metrics.csv").exists():
                time.sleep(0.01)
            time.sleep(0.05 + 0.1 * number)
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            *lines, cut_off = text(folder).split("\n")
            header, *rows = csv.reader(lines)
            assert {len(row) for row in rows} <= {len(header)}
            assert [int(row[0]) for row in rows] == list(range(len(rows)))
            assert cut_off.count(",") < len(header)  # Linux can end the write of a row between two pages of memory
            MetricsCSV(folder).resume_at(len(rows) + 1)
            assert text(folder).splitlines() == lines
            for step in range(len(rows)):
                assert float(rows[step][1]) == step

    def test_one_process_writes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(rank_zero_only, "rank", 1)
        logger = MetricsCSV(tmp_path)
        logger.resume_at(0)
        log(logger, (0, {"loss": 1.0}))
        assert list(tmp_path.iterdir()) == []

    def test_rejects_another_table(self, tmp_path):
        (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
        with pytest.raises(InputError, match=r"metrics\.csv: expected a table .*; its columns are 'a,b'$"):
            MetricsCSV(tmp_path).resume_at(3)
        assert text(tmp_path) == "a,b\n1,2\n"

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"step,loss\n1,\xff\n",  # not UTF-8
            b"step,loss\n1,2,3\n",  # a cell too many
            b"step,loss\none,2\n",
            b"step,loss\n1," + b"9" * 200_000 + b"\n",  # longer than Python's csv reads
            b"x" * 3_000_000,  # one line without an end
        ],
        ids=["empty", "bytes", "cells", "words", "long", "endless"],
    )
    def test_rejects_other_files_and_leaves_them(self, tmp_path, data):
        (tmp_path / "metrics.csv").write_bytes(data)
        with pytest.raises(InputError, match=r"metrics\.csv: expected a table with a column `step`; .*$") as caught:
            MetricsCSV(tmp_path).resume_at(3)
        assert len(str(caught.value).splitlines()) == 1
        assert (tmp_path / "metrics.csv").read_bytes() == data
        assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (Path.mkdir, "is a folder, expected a table of figures"),
            (lambda path: os.mkfifo(path), "is a pipe or a device, expected a table of figures in a regular file"),
            (lambda path: path.symlink_to("/dev/full"), "is a pipe or a device, expected a table of figures"),
        ],
        ids=["folder", "pipe", "device"],
    )
    def test_rejects_what_is_no_file(self, tmp_path, make, said):
        make(tmp_path / "metrics.csv")
        with pytest.raises(InputError, match=rf"metrics\.csv: {said}"):
            log(MetricsCSV(tmp_path), (0, {"loss": 1.0}))

    def test_a_full_disk_is_one_line_and_half_a_row_is_dropped_later(self, tmp_path):
        logger = MetricsCSV(tmp_path)
        log(logger, (0, {"loss": 1.0}))
        resource = pytest.importorskip("resource")  # Windows has no such module
        before, limit = text(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 3, limit[1]))  # three bytes of the row fit
        try:
            with pytest.raises(InputError, match=r"metrics\.csv: can't be written \(No space left on device\)$"):
                log(logger, (1, {"loss": 0.5}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert text(tmp_path) == f"{before}1,0"
        resumed = MetricsCSV(tmp_path)
        resumed.resume_at(1)
        log(resumed, (1, {"loss": 0.5}))
        assert text(tmp_path) == "step,loss\n0,1.0\n1,0.5\n"

    def test_rejects_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=r"file/metrics\.csv: can't be written \("):
            log(MetricsCSV(tmp_path / "file"), (0, {"loss": 1.0}))


TIMED = {"train/images_per_second", "train/data_wait", "train/step_seconds", "train/host_memory_gib"}


def untimed(folder):
    """Rows without the figures that differ between any two runs."""
    return [{key: value for key, value in row.items() if key not in TIMED} for row in read_metrics(folder)]


SAVED = (
    "+callbacks.every._target_=pytorch_lightning.callbacks.ModelCheckpoint", "+callbacks.every.every_n_train_steps=3",
    "+callbacks.every.save_top_k=-1", "+callbacks.every.filename='{step}'", "trainer.val_check_interval=4",
)  # fmt: skip


class TestRun:
    def test_continues_after_the_checkpoint(self, run, tmp_path):
        saved = (*SAVED, f"+callbacks.every.dirpath={tmp_path / 'saved'}", "trainer.max_steps=8")
        folder = run(*saved).run_dir
        straight, columns = untimed(folder), text(folder).splitlines()[0]
        assert [row["step"] for row in straight][:10] == [0, 1, 2, 3, 3, 4, 5, 6, 7, 7]
        run(*saved, f"resume='{tmp_path}/saved/step=3.ckpt'")
        assert untimed(folder) == straight
        assert text(folder).splitlines()[0] == columns

    def test_continues_after_a_validation(self, run):
        common = ("trainer.val_check_interval=4", "scheduler=constant")
        straight = run(*common, "trainer.max_steps=8", name="straight").run_dir
        folder = run(*common, "trainer.max_steps=4").run_dir
        run(*common, "trainer.max_steps=8")
        # The first run validates its best weights after its end; the resumed run does not end there.
        assert untimed(folder)[:-2] == untimed(straight)[:-2]
        assert {row["step"] for row in untimed(folder)[-2:]} <= {7, 8}
