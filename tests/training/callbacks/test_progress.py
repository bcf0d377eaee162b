import logging
import os
import pty
import re
import sys
import termios
import threading

import pytest
import torch

from lookcast.checks import InputError
from lookcast.training.callbacks import RunProgress
from tests.runs import QUIET
from tests.training.callbacks.trainers import trainer

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class TestLines:
    """Where there is no terminal."""

    def test_known_value(self, capfd):
        progress, run = RunProgress(every_seconds=1e-9), trainer(global_step=5, accumulate_grad_batches=2)
        outputs = {"loss": torch.tensor(0.125)}  # as Lightning hands it on, divided by the accumulated batches
        progress.on_train_start(run, None)
        for run.global_step in (6, 8):
            progress.on_train_batch_end(run, None, outputs, None, 0)
        progress.on_train_end(run, None)
        lines = capfd.readouterr().err.splitlines()
        words = r"[\d.e+]+ steps/s, loss 0\.250, 00:00 elapsed, 00:00 left"
        assert re.fullmatch(rf"step 6/8 \(75%\), {words}", lines[0])
        assert re.fullmatch(rf"step 8/8 \(100%\), {words}", lines[1])
        assert len(lines) == 2

    def test_one_from_time_to_time_and_one_at_the_end(self, capfd):
        progress, run = RunProgress(every_seconds=60), trainer(max_steps=50, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        for run.global_step in range(1, 51):
            progress.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, None, 0)
        assert [line.split()[1] for line in capfd.readouterr().err.splitlines()] == ["1/50", "50/50"]

    def test_a_run_without_end_has_no_total(self, capfd):
        progress, run = RunProgress(), trainer(max_steps=-1, global_step=3, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        progress.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, None, 0)
        assert capfd.readouterr().err.startswith("step 3, ")

    def test_one_process_speaks(self, capfd):
        progress, run = RunProgress(), trainer(is_global_zero=False, accumulate_grad_batches=1)
        progress.on_train_start(run, None)
        progress.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, None, 0)
        progress.on_train_end(run, None)
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize(
        ("every", "limit"), [(0, "greater than 0"), (-1.0, "greater than 0"), (float("nan"), "a finite number")]
    )
    def test_rejects_other_times_between_lines(self, every, limit):
        with pytest.raises(InputError, match=rf"^every_seconds: must be {limit}, got {every}$"):
            RunProgress(every)

    def test_real_run(self, run, capfd):
        run("trainer.max_steps=3")
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step ")]
        assert [line.split(",")[0] for line in lines] == ["step 1/3 (33%)", "step 3/3 (100%)"]
        for word in ("steps/s", "images/s", "loss", "% data wait", "left"):
            assert word in lines[-1]


class Terminal:
    """A terminal of 80 columns in place of stdout and stderr, and what stands on its screen."""

    def __init__(self, monkeypatch):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        monkeypatch.setenv("TERM", "xterm")
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
            monkeypatch.delenv(name, raising=False)
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
            except OSError:  # so Linux says that the other end was closed
                return
            if not chunk:
                return
            self.written += chunk

    def screen(self):
        """Lines, after carriage returns and the two movements that rich makes were obeyed."""
        self.file.close()
        self.reader.join()
        os.close(self.master)
        lines, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", self.written.decode()):
            if part == "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif part == "\r":
                column = 0
            elif re.fullmatch(r"\x1b\[\d*A", part):
                row -= int(part[2:-1] or 1)
            elif part == "\x1b[2K":
                lines[row] = ""
            elif not part.startswith("\x1b"):
                lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
                column += len(part)
        return [line.rstrip() for line in lines if line.strip()]


@pytest.fixture
def open_terminal(monkeypatch):
    """To be called in the test itself: pytest puts its own stdout in place before."""
    return lambda: Terminal(monkeypatch)


class TestBar:
    """On a terminal."""

    def test_what_is_printed_and_logged_stands_above_it(self, open_terminal):
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
        assert re.fullmatch(r"█+ 8/8, [\d.e+]+ steps/s, loss 0\.250, 00:00<00:00", bar)
        assert last == "afterwards"

    def test_is_left_where_a_run_breaks_off(self, open_terminal):
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
        words = r"[\d.e+]+ steps/s, [\d.e+]+ images/s, \d+% data wait, loss \d\.\d{3}"
        assert re.fullmatch(rf"█+ 3/3, {words}, 00:\d\d<00:00", bars[0])
