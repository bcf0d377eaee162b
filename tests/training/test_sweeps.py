"""Sweeps with Hydra's plugins: runs as separate jobs, and a search that learns from them."""

import re
import sys
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

import lookcast
from lookcast.checks import InputError
from lookcast.cli.train import train as main
from tests.runs import QUIET, TINY, losses

pytestmark = [
    *(pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET),
    pytest.mark.nightly,
]


@pytest.fixture
def sweep(tmp_path, encoder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("lookcast.training.log_filters.quieten", lambda: None)

    def run(*arguments):
        silent = ("hydra/job_logging=none", "hydra/hydra_logging=none")
        return main(["-m", *silent, *TINY, f"encoder.weights={encoder}", "run_dir=sweep", *arguments])

    return run


def rate(run_dir):
    return lookcast.load(run_dir / "look.safetensors").header["training"]["optimizer"]["lr"]


class TestSubmitit:
    def test_two_jobs(self, sweep, tmp_path):
        assert sweep("hydra/launcher=submitit_local", "optimizer.lr=1e-3,2e-3") == 0
        folders = [tmp_path / "sweep" / str(job) for job in range(2)]
        assert [rate(folder) for folder in folders] == [1e-3, 2e-3]
        first, second = map(losses, folders)
        assert first[0] == second[0]
        assert first[1] != second[1]
        # Each run has a separate process with a separate log.
        logs = [path.read_text() for path in (tmp_path / "sweep" / ".submitit").rglob("*_log.out")]
        assert sorted(re.search(r"run folder  (\S+)", log)[1] for log in logs) == ["sweep/0", "sweep/1"]

    def test_what_a_job_refuses_is_one_line(self, sweep, tmp_path):
        with pytest.raises(InputError, match=r"^loss\.style_weight: expected at least 0, got -1$"):
            sweep("hydra/launcher=submitit_local", "loss.style_weight=-1")
        assert not list(tmp_path.rglob("look.safetensors"))


class TestOptuna:
    def test_trials(self, sweep, tmp_path):
        search = ("hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=0")
        kept = ("hydra.sweeper.storage=sqlite:///sweep.db", "hydra.sweeper.study_name=look")
        assert sweep(*search, *kept, "hydra.sweeper.n_trials=2", "optimizer.lr=tag(log,interval(1e-4,1e-2))") == 0
        study = optuna.load_study("look", "sqlite:///sweep.db")
        for number, trial in enumerate(study.trials):
            look = lookcast.load(tmp_path / "sweep" / str(number) / "look.safetensors").header
            assert trial.params == {"optimizer.lr": look["training"]["optimizer"]["lr"]}
            assert trial.value == pytest.approx(look["metrics"]["val/style_distance"])
        assert len({trial.params["optimizer.lr"] for trial in study.trials}) == 2
        found = OmegaConf.load(Path("sweep") / "optimization_results.yaml")
        assert (found.best_value, found.best_params) == (study.best_value, study.best_params)
