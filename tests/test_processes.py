import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from lookcast.processes import ignore_stop_signals
from lookcast.training import preemption


class ProcessIds(Dataset):
    """Each sample names the process that has made it, some of them after that was told to stop."""

    def __init__(self, signals):
        self.signals = signals

    def __len__(self):
        return 1 + len(self.signals)

    def __getitem__(self, index):
        if index:
            os.kill(os.getpid(), self.signals[index - 1])
        return os.getpid()


def test_they_are_the_signals_that_a_run_listens_to():
    dataset = ProcessIds(preemption.STOP_SIGNALS)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, worker_init_fn=ignore_stop_signals)
    processes = list(loader)
    assert len(processes) == 4
    assert len(set(processes)) == 1
    assert os.getpid() not in processes


def test_a_worker_that_listens_is_gone():
    # Why they have to ignore it: what SLURM's signal did to the run.
    loader = DataLoader(ProcessIds([signal.SIGUSR1]), batch_size=None, num_workers=1)
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        list(loader)
