import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from lookcast.processes import ignore_stop_signals
from lookcast.training import preemption


class ProcessIds(Dataset):
    """Samples are the ids of their processes; each later sample sends its process a signal first."""

    def __init__(self, signals):
        self.signals = signals

    def __len__(self):
        return 1 + len(self.signals)

    def __getitem__(self, index):
        if index:
            os.kill(os.getpid(), self.signals[index - 1])
        return os.getpid()


def test_workers_ignore_stop_signals():
    dataset = ProcessIds(preemption.STOP_SIGNALS)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, worker_init_fn=ignore_stop_signals)
    processes = list(loader)
    assert len(processes) == 4
    assert len(set(processes)) == 1
    assert os.getpid() not in processes


def test_a_signal_ends_a_worker_that_does_not_ignore_it():
    # SLURM's signal would end the run without `ignore_stop_signals`.
    loader = DataLoader(ProcessIds([signal.SIGUSR1]), batch_size=None, num_workers=1)
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        list(loader)
