import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lookcast
from lookcast.training.callbacks import RunProgress
from lookcast.training.run import train
from tests.runs import TINY, composed, save_encoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """Write the tests' own encoder."""
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def run(encoder, tmp_path):
    """Train by overrides of a run of two steps, into `tmp_path / name`."""

    def start(*overrides, name="run"):
        return train(composed(*TINY, f"encoder.weights={encoder}", f"run_dir={tmp_path / name}", *overrides))

    return start


@pytest.fixture
def starts(monkeypatch):
    """Collect (step, weights of the generator) at the start of every training."""
    seen, original = [], RunProgress.on_train_start

    def spy(self, trainer, module):
        seen.append((trainer.global_step, {k: v.clone() for k, v in module.generator.state_dict().items()}))
        original(self, trainer, module)

    monkeypatch.setattr(RunProgress, "on_train_start", spy)
    return seen


@pytest.fixture
def interrupts():
    """Restore the handler of interrupts: Lightning ignores all after the first."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def shell(tmp_path, encoder):
    """Run `lookcast train` in a separate process, in an empty folder.

    Without `wait`, return the process. With `module`, run `python -m lookcast.cli`.
    """

    def start(*arguments, environment=(), wait=True, module=False):
        program = [sys.executable, "-m", "lookcast.cli"] if module else [Path(sys.executable).parent / "lookcast"]
        command = [*program, "train", f"encoder.weights={encoder}", *arguments]
        # The lookcast of this process, and the callbacks of the tests.
        paths = f"{Path(lookcast.__file__).parents[1]}{os.pathsep}{Path(__file__).parents[2]}"
        threads = str(torch.get_num_threads())  # as here: another number of threads gives other last bits
        variables = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": paths, **dict(environment)}
        if not wait:
            return subprocess.Popen(command, cwd=tmp_path, env=variables)
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=variables)

    return start
