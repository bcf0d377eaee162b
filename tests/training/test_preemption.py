"""Runs that receive a stop signal: from a user, a process manager or a scheduler."""

import os
import signal
import stat
from pathlib import Path

import pytest
import torch

from lookcast.checks import InputError
from lookcast.training.preemption import Preempted, StopSignals, leave
from lookcast.training.run import train
from tests.runs import QUIET, TINY, composed
from tests.training.stops import signal_at

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

LENGTH = ("trainer.max_steps=6", "trainer.val_check_interval=4")

if not hasattr(signal, "SIGUSR1"):
    pytest.skip("Windows has no SIGUSR1", allow_module_level=True)


def load(path):
    return torch.load(path, weights_only=True)


class TestStopSignals:
    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
    def test_remembers(self, signum):
        before = signal.getsignal(signum)
        signals = StopSignals()
        signals.listen()
        try:
            assert signals.received == 0
            os.kill(os.getpid(), signum)
            assert signals.received == signum
        finally:
            signals.ignore()
        assert signal.getsignal(signum) is before

    def test_interrupted_twice_is_at_once(self):
        signals = StopSignals()
        signals.listen()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        finally:
            signals.ignore()


class TestRun:
    """A signal stops the run in a separate process; the run resumes in this process."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("SIGUSR1", 138),
            *(pytest.param(*one, marks=pytest.mark.nightly) for one in (("SIGTERM", 143), ("SIGINT", 130))),
        ],
    )
    def test_writes_a_checkpoint_and_goes_on_from_it(self, shell, encoder, tmp_path, name, code):
        run_dir = tmp_path / "run"
        result = shell(*TINY, *LENGTH, f"run_dir={run_dir}", *signal_at(2, name))
        assert result.returncode == code, result.stderr
        said = f"lookcast: stopped by {name} after step 3; the same command with this run_dir resumes from {run_dir}"
        assert said in result.stderr
        assert "Traceback" not in result.stderr
        assert load(run_dir / "checkpoints" / "last.ckpt")["global_step"] == 3
        assert not (run_dir / "look.safetensors").exists()
        train(composed(*TINY, *LENGTH, f"encoder.weights={encoder}", f"run_dir={run_dir}"))
        train(composed(*TINY, *LENGTH, f"encoder.weights={encoder}", f"run_dir={tmp_path / 'straight'}"))
        straight, stopped = (load(tmp_path / run / "checkpoints" / "last.ckpt") for run in ("straight", "run"))
        assert stopped["global_step"] == 6
        assert all(torch.equal(w, stopped["state_dict"][key]) for key, w in straight["state_dict"].items())

    @pytest.mark.nightly
    def test_two_processes_stop_behind_the_same_step(self, shell, tmp_path):
        two = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
        result = shell(*TINY, *LENGTH, *two, f"run_dir={tmp_path / 'run'}", *signal_at(2, "SIGTERM", process=1))
        assert result.returncode == 143, result.stderr
        assert result.stderr.count("stopped by SIGTERM after step 3;") == 1
        assert load(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == 3

    def test_a_validation_that_is_due_is_not_left_out(self, run, tmp_path):
        with pytest.raises(Preempted, match="stopped by SIGTERM after step 4;"):
            run(*LENGTH, *signal_at(3, "SIGTERM"))
        assert load(tmp_path / "run" / "checkpoints" / "best.ckpt")["global_step"] == 4
        assert load(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == 4

    def test_handlers_are_given_back(self, run):
        before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
        run("trainer.max_steps=1")
        with pytest.raises(Preempted):
            run("trainer.max_steps=3", *signal_at(1, "SIGUSR1"), name="second")
        assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


class TestLeave:
    """With a `scontrol` of the test's own: what it is called with, and what it refuses."""

    @pytest.fixture
    def scontrol(self, tmp_path, monkeypatch):
        def write(code: int) -> Path:
            command, called = tmp_path / "scontrol", tmp_path / "called"
            command.write_text(f'#!/bin/sh\necho "$@" >> {called}\necho "Job is gone" >&2\nexit {code}\n')
            command.chmod(command.stat().st_mode | stat.S_IEXEC)
            monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
            return called

        for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
            monkeypatch.delenv(name, raising=False)
        return write

    STOP = Preempted(signal.SIGUSR1, 5, Path("last.ckpt"))

    def test_outside_of_slurm(self, scontrol):
        called = scontrol(0)
        assert leave(self.STOP) == 138
        assert not called.exists()

    def test_a_job_is_queued_again(self, scontrol, monkeypatch):
        called = scontrol(0)
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        assert leave(self.STOP) == 0
        assert called.read_text() == "requeue 17\n"

    def test_a_job_of_an_array(self, scontrol, monkeypatch):
        called = scontrol(0)
        for name, value in (("SLURM_JOB_ID", "19"), ("SLURM_ARRAY_JOB_ID", "17"), ("SLURM_ARRAY_TASK_ID", "2")):
            monkeypatch.setenv(name, value)
        assert leave(self.STOP) == 0
        assert called.read_text() == "requeue 17_2\n"

    def test_a_job_that_is_told_to_end_is_not(self, scontrol, monkeypatch):
        called = scontrol(0)
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        assert leave(Preempted(signal.SIGTERM, 5, Path("last.ckpt"))) == 143
        assert not called.exists()

    def test_says_what_slurm_refuses(self, scontrol, monkeypatch):
        scontrol(1)
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        with pytest.raises(
            InputError, match=r"^scontrol requeue 17 failed: Job is gone; to resume the run, submit the job again"
        ):
            leave(self.STOP)
