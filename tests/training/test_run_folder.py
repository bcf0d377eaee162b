"""One folder for all processes of a run, and for one run at a time."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch

from lookcast.checks import InputError
from lookcast.training import run_folder
from lookcast.training.run_folder import LOCK, RunFolder, place_run
from tests.runs import QUIET, TINY, losses, read_metrics
from tests.training.stops import signal_at

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}
JOB = {"SLURM_JOB_ID": "12", "SLURM_JOB_NAME": "lookcast", "SLURM_STEP_ID": "0"}

HOLDER = """
import os, sys, time
from lookcast.training.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
folder.open(first=True)
if sys.argv[2] == "fork" and os.fork() == 0:  # as a process that reads photos, which may outlive its parent for seconds
    time.sleep(60)
print(os.getpid(), flush=True)
time.sleep(60)
"""


class TestPlaceRun:
    def test_alone(self):
        assert place_run(["style=a"], {}) == ["style=a"]

    @pytest.mark.parametrize("environment", [{}, TORCHRUN, JOB])
    def test_run_dir_wins(self, environment):
        expected = ["seed=1", "hydra.run.dir=a b", "hydra.sweep.dir=a b", "style=x=y"]
        assert place_run(["seed=1", "run_dir=a b", "style=x=y"], environment) == expected
        assert place_run(["hydra.run.dir=a"], environment) == ["hydra.run.dir=a"]

    def test_rejects_an_empty_run_dir(self):
        # Hydra would take the current folder.
        with pytest.raises(InputError, match=r"^run_dir: expected a folder, got ''$"):
            place_run(["run_dir="], {})

    @pytest.mark.parametrize(
        ("more", "label"),
        [({}, "12"), ({"SLURM_STEP_ID": "1"}, "12.1"), (TORCHRUN, "12")],
    )
    def test_slurm_job(self, more, label):
        assert place_run(["seed=1"], {**JOB, **more}) == ["seed=1", f"hydra.run.dir=runs/${{name}}/slurm-{label}"]

    def test_shell_in_a_slurm_job(self):
        assert place_run([], {**JOB, "SLURM_JOB_NAME": "bash"}) == []

    def test_torchrun(self):
        assert place_run([], {**TORCHRUN, "WORLD_SIZE": "1"}) == []
        with pytest.raises(InputError, match=r"^run_dir: torchrun started 2 processes, .*; say run_dir=FOLDER$"):
            place_run(["style=a"], TORCHRUN)


class TestLock:
    @pytest.fixture
    def holder(self, tmp_path):
        """Another process that holds the lock of `tmp_path / "run"`."""
        started = []

        def start(mode="alone"):
            command = [sys.executable, "-c", HOLDER, str(tmp_path / "run"), mode]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
            started.append(process)
            assert int(process.stdout.readline()) == process.pid
            return process

        yield start
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()

    def test_rejects_a_folder_in_use(self, tmp_path, holder):
        process = holder()
        with RunFolder(tmp_path / "run") as folder:
            with pytest.raises(
                InputError, match=r"^run_dir: .*run: process (\d+) on \S+, since .* trains in this"
            ) as caught:
                folder.open(first=True)
            assert f"process {process.pid} on {os.uname().nodename}" in str(caught.value)

    @pytest.mark.parametrize("mode", ["alone", "fork"])
    def test_a_dead_process_holds_nothing(self, tmp_path, holder, mode):
        process = holder(mode)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with RunFolder(tmp_path / "run") as folder:
            folder.open(first=True)
            assert f"process {os.getpid()} " in (tmp_path / "run" / LOCK).read_text()

    def test_other_processes_of_a_run_are_let_in(self, tmp_path, holder):
        holder()
        with RunFolder(tmp_path / "run") as folder:
            folder.open(first=False)

    def test_the_end_of_the_block_releases_it(self, tmp_path):
        for _ in range(2):
            with RunFolder(tmp_path / "run") as folder:
                folder.open(first=True)

    def test_a_requeued_job_waits(self, tmp_path, holder, monkeypatch):
        # A file server may hold the lock of a failed node for a while.
        process = holder()
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        monkeypatch.setattr(run_folder, "WAIT_SECONDS", 0.3)
        with RunFolder(tmp_path / "run") as folder:
            began = time.monotonic()
            with pytest.raises(InputError, match="trains in this folder"):
                folder.open(first=True)
            assert time.monotonic() - began > 0.25
            monkeypatch.setattr(run_folder, "WAIT_SECONDS", 60)
            subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {process.pid}"]).wait()
            folder.open(first=True)

    def test_a_file_system_without_locks_is_said(self, tmp_path, monkeypatch, caplog):
        def acquire(self):
            raise NotImplementedError  # as filelock does where flock gives ENOSYS

        monkeypatch.setattr(run_folder.FileLock, "acquire", acquire)
        with RunFolder(tmp_path / "run") as folder:
            folder.open(first=True)
        assert "the file system has no locks; let no other training use this folder" in caplog.text


class TestRemoval:
    """A refused run leaves no folder."""

    @staticmethod
    def refuse(path, started=False, opened=True, files=("train.log",)):
        with suppress(InputError), RunFolder(path) as folder:
            if opened:
                folder.open(first=True)
                for name in files:
                    (path / name).touch()
            folder.started = started
            raise InputError("refused")

    def test_refused(self, tmp_path):
        self.refuse(tmp_path / "run")
        (tmp_path / "hydra").mkdir()  # as Hydra makes it before the run is checked
        self.refuse(tmp_path / "hydra", opened=False)
        assert list(tmp_path.iterdir()) == []

    def test_keeps_a_run_that_has_started(self, tmp_path):
        self.refuse(tmp_path / "run", started=True)
        assert (tmp_path / "run" / "train.log").exists()

    def test_keeps_a_folder_that_had_files(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "metrics.csv").touch()
        self.refuse(tmp_path / "run")
        assert (tmp_path / "run" / "metrics.csv").exists()

    def test_keeps_what_another_process_has_put_there(self, tmp_path):
        with suppress(InputError), RunFolder(tmp_path / "run") as folder:
            folder.open(first=False)
            (tmp_path / "run" / "metrics.csv").touch()
            raise InputError("refused")
        assert (tmp_path / "run" / "metrics.csv").exists()

    def test_removes_the_empty_parents_of_the_default(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        self.refuse(tmp_path / "runs" / "look" / "today")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "mine" / "look").mkdir(parents=True)
        self.refuse(tmp_path / "mine" / "look" / "today")
        assert (tmp_path / "mine" / "look").is_dir()

    @pytest.mark.parametrize("override", ["optimizer.lr=-1", "data.photos=nowhere", "seed=-1", "resume=no.ckpt"])
    def test_of_a_training(self, run, tmp_path, override):
        # Refused by torch when the training begins, by the data, by the check of the config, by the resume.
        with pytest.raises(InputError):
            run(override)
        assert not (tmp_path / "run").exists()

    def test_a_training_that_fails_later_keeps_its_folder(self, run, tmp_path):
        with pytest.raises(InputError, match="not finite in 1 steps in a row"):
            run("optimizer.lr=1e30", "callbacks.finite.max_in_a_row=1", "trainer.max_steps=9", "callbacks.samples=null")
        assert (tmp_path / "run" / "metrics.csv").exists()


class TestTwoTrainings:
    """Two commands in one folder."""

    @pytest.mark.nightly
    def test_the_second_is_refused(self, shell, tmp_path):
        run_dir = tmp_path / "run"
        arguments = [*TINY, f"run_dir={run_dir}", "trainer.max_steps=3"]
        first = shell(*arguments, *signal_at(1, "SIGSTOP"), wait=False)
        try:
            while not (run_dir / "metrics.csv").exists():
                assert first.poll() is None
                time.sleep(0.2)
            config = (run_dir / ".hydra" / "config.yaml").read_bytes()
            second = shell(*arguments, "trainer.max_steps=4")
            assert (second.returncode, second.stderr.count("\n")) == (2, 1)
            assert second.stderr.startswith(f"lookcast: error: run_dir: {run_dir}: process {first.pid} on ")
            assert (run_dir / ".hydra" / "config.yaml").read_bytes() == config
        finally:
            first.send_signal(signal.SIGCONT)
        assert first.wait() == 0
        steps = [row["step"] for row in read_metrics(run_dir) if "train/loss/total" in row]
        assert steps == [0, 1, 2]
        # The lock ended with its process.
        assert shell(*arguments, "trainer.max_steps=4").returncode == 0
        assert len(losses(run_dir)) == 4


class TestTorchrun:
    """Real processes."""

    @pytest.fixture
    def torchrun(self, tmp_path, encoder):
        def run(*arguments):
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
            two = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", f"encoder.weights={encoder}")
            command += ["-m", "lookcast.cli", "train", *TINY, *two, *arguments]
            return subprocess.run(
                command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )

        return run

    @pytest.mark.nightly
    def test_processes_share_a_folder(self, torchrun, tmp_path):
        result = torchrun("run_dir=meet")
        assert result.returncode == 0, result.stderr
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["meet"]
        assert {path.name for path in (tmp_path / "meet").iterdir()} >= {".hydra", "checkpoints", "look.safetensors"}
        assert result.stdout.count("run folder  meet") == 1
        assert torch.load(tmp_path / "meet" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 2
        assert len(losses(tmp_path / "meet")) == 2

    @pytest.mark.nightly
    def test_without_a_folder(self, torchrun, tmp_path):
        result = torchrun()
        assert result.returncode != 0
        assert "lookcast: error: run_dir: torchrun started 2 processes" in result.stderr
        assert not (tmp_path / "runs").exists()
