import logging
import os
import re
import sys
import threading
from contextlib import suppress

import pytest
import torch

from lookcast.checks import InputError
from lookcast.training.callbacks import RunProgress
from tests.runs import QUIET
from tests.training.callbacks.trainers import trainer

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class TestLines:
    """Without a terminal."""

    def test_known_value(self, capfd):
        progress, run = RunProgress(every_seconds=1e-9), trainer(global_step=5, accumulate_grad_batches=2)
        outputs = {"loss": torch.tensor(0.125)}  # Lightning divides it by the number of accumulated batches
        progress.on_train_start(run, None)
        for run.global_step in (6, 8):
            progress.on_train_batch_end(run, None, outputs, None, 0)
        progress.on_train_end(run, None)
        lines = capfd.readouterr().err.splitlines()
        words = r"[\d.e+]+ steps/s, loss 0\.250, 00:\d\d elapsed, 00:\d\d left"
        assert re.fullmatch(rf"step 6/8 \(75%\), {words}", lines[0])
        assert re.fullmatch(rf"step 8/8 \(100%\), {words}", lines[1])
        assert len(lines) == 2

    def test_a_line_from_time_to_time_and_one_at_the_end(self, capfd):
        progress, run = RunProgress(every_seconds=60), trainer(max_steps=50, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        for run.global_step in range(1, 51):
            progress.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, None, 0)
        assert [line.split()[1] for line in capfd.readouterr().err.splitlines()] == ["1/50", "50/50"]

    def test_a_run_without_a_limit_has_no_total(self, capfd):
        progress, run = RunProgress(), trainer(max_steps=-1, global_step=3, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        progress.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, None, 0)
        assert capfd.readouterr().err.startswith("step 3, ")

    def test_one_process_prints(self, capfd):
        progress, run = RunProgress(), trainer(is_global_zero=False, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        progress.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, None, 0)
        progress.on_train_end(run, None)
        assert capfd.readouterr().err == ""

    def test_a_log_that_cannot_be_written(self, monkeypatch):
        progress, run = RunProgress(), trainer(accumulate_grad_batches=1)
        with open("/dev/full", "w") as full, monkeypatch.context() as patch:  # noqa: PTH123
            patch.setattr(sys, "stderr", full)
            progress.on_train_start(run, None)
            with pytest.raises(InputError, match=r"^stderr: progress can't be written \(No space left on device\)$"):
                progress.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, None, 0)
            with suppress(OSError):
                full.close()  # drops what is still buffered

    @pytest.mark.parametrize(
        ("every", "limit"), [(0, "more than 0.0"), (-1.0, "more than 0.0"), (float("nan"), "a finite number")]
    )
    def test_rejects_other_times_between_lines(self, every, limit):
        with pytest.raises(InputError, match=rf"^every_seconds: expected {limit}, got {every}$"):
            RunProgress(every)

    def test_real_run(self, run, capfd):
        run("trainer.max_steps=3")
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step ")]
        assert [line.split(",")[0] for line in lines] == ["step 1/3 (33%)", "step 3/3 (100%)"]
        for word in ("steps/s", "images/s", "loss", "% data wait", "left"):
            assert word in lines[-1]


class Terminal:
    """A terminal of 80 columns in place of stdout and stderr."""

    def __init__(self, monkeypatch):
        pty, termios = (pytest.importorskip(name) for name in ("pty", "termios"))  # Windows has no such modules
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        monkeypatch.setenv("TERM", "xterm")
        self.file = os.fdopen(slave, "w")
        monkeypatch.setattr(sys, "stdout", self.file)
        monkeypatch.setattr(sys, "stderr", self.file)
        self.written = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        while True:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # Linux says so when the other end is closed
                return
            if not chunk:
                return
            self.written += chunk

    def screen(self):
        """Lines on the screen, with the effect of carriage returns."""
        self.file.close()
        self.reader.join()
        os.close(self.master)
        lines = []
        for written in self.written.decode().split("\n"):
            line = ""
            for part in written.split("\r"):
                line = part + line[len(part) :]
            lines.append(line.rstrip())
        return [line for line in lines if line]


@pytest.fixture
def open_terminal(monkeypatch):
    """Opens a terminal when the test calls it: pytest replaces stdout before the test."""
    return lambda: Terminal(monkeypatch)


class TestBar:
    """The bar on a terminal."""

    def test_prints_and_log_lines_stand_above_it(self, open_terminal):
        terminal = open_terminal()
        handler, log = logging.StreamHandler(sys.stdout), logging.getLogger("lookcast.test")
        log.addHandler(handler)
        progress, run = RunProgress(), trainer(global_step=5, max_steps=8, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        for run.global_step in (6, 7, 8):
            progress.on_train_batch_end(run, None, {"loss": torch.tensor(0.25)}, None, 0)
            log.warning("step %d is [logged] in one line", run.global_step)
            print("printed", run.global_step)
        progress.on_train_end(run, None)
        log.warning("afterwards")
        log.removeHandler(handler)
        assert handler.stream is sys.stdout is terminal.file
        *lines, bar, last = terminal.screen()
        assert lines == [
            f"{word} {n}{rest}"
            for n in (6, 7, 8)
            for word, rest in (("step", " is [logged] in one line"), ("printed", ""))
        ]
        assert re.fullmatch(r"█+ 8/8, [\d.e+]+ steps/s loss 0\.250, 00:\d\d<00:00", bar)
        assert last == "afterwards"

    def test_stays_when_a_run_fails(self, open_terminal):
        terminal = open_terminal()
        progress = RunProgress()
        progress.on_exception(None, None, ValueError())  # before the first step there is none
        run = trainer(global_step=3, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        progress.on_exception(run, None, ValueError())
        print("why", file=sys.stderr)
        bar, last = terminal.screen()
        assert " 3/8" in bar
        assert last == "why"

    def test_real_run(self, run, open_terminal):
        terminal = open_terminal()
        run("trainer.max_steps=3")
        bars = [line for line in terminal.screen() if line.startswith("█")]
        assert len(bars) == 1
        words = r"[\d.e+]+ steps/s [\d.e+]+ images/s loss \d\.\d{3} \d+% wait"
        assert re.fullmatch(rf"█+ 3/3, {words}, 00:\d\d<00:00", bars[0])
