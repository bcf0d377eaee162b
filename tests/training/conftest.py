import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lookcast.training.callbacks import RunProgress
from lookcast.training.run import train
from tests.runs import TINY, composed, save_encoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """File of the tests' own encoder."""
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def run(encoder, tmp_path):
    """Train by overrides of a run of two steps, into `tmp_path / name`."""

    def start(*overrides, name="run"):
        return train(composed(*TINY, f"encoder.weights={encoder}", f"run_dir={tmp_path / name}", *overrides))

    return start


@pytest.fixture
def starts(monkeypatch):
    """(step, generator's weights) with which every training starts."""
    seen, original = [], RunProgress.on_train_start

    def spy(self, trainer, module):
        seen.append((trainer.global_step, {k: v.clone() for k, v in module.generator.state_dict().items()}))
        original(self, trainer, module)

    monkeypatch.setattr(RunProgress, "on_train_start", spy)
    return seen


@pytest.fixture
def interrupts():
    """Lightning ignores further interrupts after the first; later tests should not."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def shell(tmp_path, encoder):
    """Run `lookcast train` in a process of its own, in an empty folder."""

    def start(*arguments, environment=()):
        command = [Path(sys.executable).parent / "lookcast", "train", f"encoder.weights={encoder}", *arguments]
        root = str(Path(__file__).parents[2])  # for the callbacks of the tests
        threads = str(torch.get_num_threads())  # as here: another number of threads gives other last bits
        variables = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": root, **dict(environment)}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=variables)

    return start
