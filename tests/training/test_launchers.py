"""The environment of SLURM and torchrun."""

import os
import stat
from pathlib import Path

import pytest

from lookcast.checks import InputError
from lookcast.training.launchers import check_ranks, requeue, slurm_job, slurm_step, was_requeued

JOB = {"SLURM_JOB_ID": "12", "SLURM_JOB_NAME": "lookcast", "SLURM_STEP_ID": "0"}
ARRAY = {"SLURM_ARRAY_JOB_ID": "11", "SLURM_ARRAY_TASK_ID": "1"}


class TestCheckRanks:
    @pytest.mark.parametrize("environment", [{}, {"RANK": "0", "WORLD_SIZE": "16"}, {"SLURM_PROCID": "3", "HOME": "x"}])
    def test_accepts_integers(self, environment):
        check_ranks(environment)

    @pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "SLURM_PROCID", "SLURM_NTASKS"])
    @pytest.mark.parametrize("value", ["abc", "", "-1", "1.5", "²"])
    def test_rejects_others(self, name, value):
        with pytest.raises(InputError, match=rf"^{name}: expected an integer of at least 0 in the environment, got '"):
            check_ranks({"RANK": "0", name: value})


class TestSlurm:
    @pytest.mark.parametrize(
        ("environment", "job", "step"),
        [
            ({}, None, None),
            (JOB, "12", "12"),
            ({"SLURM_JOB_ID": "12"}, "12", "12"),  # a batch script without srun
            (JOB | {"SLURM_RESTART_COUNT": "2"}, "12", "12"),
            (JOB | {"SLURM_STEP_ID": "1"}, "12", "12.1"),
            (JOB | ARRAY, "11_1", "11_1"),
            (JOB | ARRAY | {"SLURM_STEP_ID": "2"}, "11_1", "11_1.2"),
            (JOB | {"SLURM_JOB_NAME": "bash"}, "12", None),
            (JOB | {"SLURM_JOB_NAME": "interactive"}, "12", None),
        ],
    )
    def test_known_value(self, environment, job, step):
        assert (slurm_job(environment), slurm_step(environment)) == (job, step)

    @pytest.mark.parametrize(("count", "expected"), [(None, False), ("0", False), ("1", True), ("12", True)])
    def test_was_requeued(self, count, expected):
        assert was_requeued({} if count is None else {"SLURM_RESTART_COUNT": count}) is expected


class TestRequeue:
    """With a `scontrol` of the test's own."""

    @pytest.fixture
    def scontrol(self, tmp_path, monkeypatch):
        def write(code: int) -> Path:
            command, called = tmp_path / "scontrol", tmp_path / "called"
            command.write_text(f'#!/bin/sh\necho "$@" >> {called}\necho "Job is gone" >&2\nexit {code}\n')
            command.chmod(command.stat().st_mode | stat.S_IEXEC)
            monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
            return called

        return write

    def test_calls_scontrol(self, scontrol):
        called = scontrol(0)
        requeue("17_2")
        assert called.read_text() == "requeue 17_2\n"

    def test_says_what_slurm_refuses(self, scontrol):
        scontrol(1)
        with pytest.raises(
            InputError, match=r"^scontrol requeue 17 failed: Job is gone; to resume the run, submit the job again"
        ):
            requeue("17")

    def test_without_slurm(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(InputError, match=r"^scontrol requeue 17 failed: No such file or directory; to resume"):
            requeue("17")
