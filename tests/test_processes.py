import os
import signal
import sys
import threading
from concurrent.futures import CancelledError

import pytest
from torch.utils.data import DataLoader, Dataset

from lookcast.processes import deferred_interrupt, ignore_stop_signals, keep_scheduling
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these policies")
def test_keep_scheduling():
    """The thread that runs the block, and threads that it starts, get their policy back; older threads keep theirs."""
    release, found = threading.Event(), {}

    def change(name):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        found[name] = threading.get_native_id()
        changed.release()
        release.wait(60)

    def block():
        with keep_scheduling():
            change_here = threading.Thread(target=change, args=("started inside",))
            change_here.start()
            changed.acquire()
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            assert os.sched_getscheduler(found["started inside"]) == os.SCHED_BATCH
        policies["block"] = os.sched_getscheduler(0)
        for name, thread in found.items():
            policies[name] = os.sched_getscheduler(thread)

    changed, policies = threading.Semaphore(0), {}
    older = threading.Thread(target=change, args=("started before",))
    older.start()
    changed.acquire()
    runs = threading.Thread(target=block)
    runs.start()
    runs.join(60)
    release.set()
    own = os.sched_getscheduler(0)
    assert own != os.SCHED_BATCH
    assert policies == {"block": own, "started inside": own, "started before": os.SCHED_BATCH}


class TestDeferredInterrupt:
    @pytest.fixture(autouse=True)
    def handler(self):
        before = signal.getsignal(signal.SIGINT)
        yield
        after = signal.signal(signal.SIGINT, before)
        assert after is signal.default_int_handler

    def test_the_block_is_finished_first(self):
        steps = []

        def run():
            with deferred_interrupt() as check:
                check()
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)  # a second Ctrl-C is deferred too
                with pytest.raises(CancelledError):
                    check()
                steps.append("end")

        with pytest.raises(KeyboardInterrupt):
            run()
        assert steps == ["end"]

    def test_without_ctrl_c(self):
        with deferred_interrupt() as check:
            check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    def test_an_error_of_the_block(self):
        with pytest.raises(ValueError, match="mine"), deferred_interrupt():
            raise ValueError("mine")

    def test_ctrl_c_wins_over_an_error_of_the_block(self):
        def run():
            with deferred_interrupt():
                signal.raise_signal(signal.SIGINT)
                raise ValueError("mine")

        with pytest.raises(KeyboardInterrupt):
            run()

    def test_an_inner_block_leaves_it_to_the_outer_one(self):
        steps = []

        def run():
            with deferred_interrupt() as check:
                with deferred_interrupt():
                    signal.raise_signal(signal.SIGINT)
                steps.append("after the inner block")
                with pytest.raises(CancelledError):
                    check()

        with pytest.raises(KeyboardInterrupt):
            run()
        assert steps == ["after the inner block"]

    @pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
    def test_another_handler_is_kept(self, handler):
        signal.signal(signal.SIGINT, handler)
        try:
            with deferred_interrupt() as check:
                assert signal.getsignal(signal.SIGINT) is handler
                signal.raise_signal(signal.SIGINT)
                check()
            assert signal.getsignal(signal.SIGINT) is handler
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def test_another_thread(self):
        ended = []

        def work():
            with deferred_interrupt() as check:
                check()
                ended.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert ended == [signal.default_int_handler]
