"""One folder for all processes of a run."""

import os
import subprocess
import sys

import pytest
import torch

from lookcast.checks import InputError
from lookcast.training.run_folder import place_run
from tests.runs import TINY, losses

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}
JOB = {"SLURM_JOB_ID": "12", "SLURM_JOB_NAME": "lookcast", "SLURM_STEP_ID": "0"}


class TestPlaceRun:
    def test_alone(self):
        assert place_run(["style=a"], {}) == ["style=a"]

    @pytest.mark.parametrize("environment", [{}, TORCHRUN, JOB])
    def test_run_dir_wins(self, environment):
        expected = ["seed=1", "hydra.run.dir=a b", "hydra.sweep.dir=a b", "style=x=y"]
        assert place_run(["seed=1", "run_dir=a b", "style=x=y"], environment) == expected
        assert place_run(["hydra.run.dir=a"], environment) == ["hydra.run.dir=a"]

    @pytest.mark.parametrize(
        ("more", "label"),
        [
            ({}, "12"),
            ({"SLURM_RESTART_COUNT": "2"}, "12"),
            ({"SLURM_STEP_ID": "1"}, "12.1"),
            ({"SLURM_ARRAY_JOB_ID": "11", "SLURM_ARRAY_TASK_ID": "1"}, "11_1"),
            (TORCHRUN, "12"),
        ],
    )
    def test_slurm_job(self, more, label):
        assert place_run(["seed=1"], {**JOB, **more}) == ["seed=1", f"hydra.run.dir=runs/${{name}}/slurm-{label}"]

    def test_batch_script_without_srun(self):
        environment = {key: value for key, value in JOB.items() if key != "SLURM_STEP_ID"}
        assert place_run([], environment) == place_run([], JOB)

    @pytest.mark.parametrize("name", ["bash", "interactive"])
    def test_shell_in_a_slurm_job(self, name):
        assert place_run([], {**JOB, "SLURM_JOB_NAME": name}) == []

    def test_torchrun(self):
        assert place_run([], {**TORCHRUN, "WORLD_SIZE": "1"}) == []
        with pytest.raises(InputError, match=r"^run_dir: torchrun started 2 processes, .*; say run_dir=FOLDER$"):
            place_run(["style=a"], TORCHRUN)


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
