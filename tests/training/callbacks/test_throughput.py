import time

import pytest
import pytorch_lightning as pl
import torch

from lookcast.data.loader import TimedLoader
from lookcast.structures import PhotoBatch
from lookcast.training.callbacks import Throughput, throughput
from lookcast.training.loggers import MetricsCSV
from lookcast.training.stats import RunStats
from tests.runs import QUIET, read_metrics

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class Photos(torch.utils.data.Dataset):
    """Photos whose reading takes a given time."""

    def __init__(self, seconds, count=64):
        self.seconds, self.count = seconds, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return torch.zeros(3, 2, 2)


class SlowCheckpoint(pl.Callback):
    """Takes a given time after every step, as writing to a slow disk does."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_batch_end(self, *_):
        time.sleep(self.seconds)


class Steps(pl.LightningModule):
    """Steps, transfers and validations that take given times."""

    def __init__(self, step, transfer=0.0):
        super().__init__()
        self.weight, self.step, self.transfer = torch.nn.Parameter(torch.zeros(1)), step, transfer

    def training_step(self, batch, index):
        time.sleep(self.step)
        return (self.weight * batch.content.sum()).sum()

    def on_after_batch_transfer(self, batch, dataloader_idx):
        time.sleep(self.transfer)
        return batch

    def validation_step(self, batch, index):
        time.sleep(0.1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Clock:
    """A clock that only sleeping moves, so that other work on the machine does not count."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def virtual_time(monkeypatch):
    clock = Clock()
    monkeypatch.setitem(globals(), "time", clock)
    monkeypatch.setattr(throughput, "time", clock)


@pytest.fixture
def fit(tmp_path):
    """A real run of 8 steps with batches of 2; its statistics and the rows that it logs."""

    def run(read, workers=0, validate=0.0, accumulate=1, callbacks=(), **module):
        def loader(seconds, count=64):
            return TimedLoader(Photos(seconds, count), 2, num_workers=workers, collate_fn=collate)

        callback = Throughput()
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=8, val_check_interval=4 * accumulate, num_sanity_val_steps=0,
            check_val_every_n_epoch=None, limit_val_batches=2, log_every_n_steps=4, accumulate_grad_batches=accumulate,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            callbacks=[callback, *callbacks], logger=MetricsCSV(tmp_path),
        )  # fmt: skip
        trainer.fit(Steps(**module), loader(read), loader(validate, 4))
        return callback.stats, [row for row in read_metrics(tmp_path) if "train/data_wait" in row]

    return run


def collate(photos):
    return PhotoBatch(torch.stack(photos))


@pytest.mark.usefixtures("virtual_time")
class TestThroughput:
    """Logged values pass through float32, hence the relative tolerance of 1e-6."""

    @pytest.mark.parametrize(("read", "step", "wait"), [(0.03, 0.0, 1.0), (0.0, 0.06, 0.0), (0.03, 0.06, 0.5)])
    def test_known_value(self, fit, read, step, wait):
        stats, rows = fit(read, step=step)
        seconds = 2 * read + step
        assert (stats.steps, stats.images) == (8, 16)
        assert (stats.seconds, stats.waited) == pytest.approx((8 * seconds, 8 * 2 * read))
        assert [row["step"] for row in rows] == [3, 7]
        for row in rows:
            assert row["train/data_wait"] == pytest.approx(wait, rel=1e-6)
            assert row["train/step_seconds"] == pytest.approx(seconds, rel=1e-6)
            assert row["train/images_per_second"] == pytest.approx(2 / seconds, rel=1e-6)
            assert 0.05 < row["train/host_memory_gib"] < 100
            assert "train/gpu_memory_gib" not in row

    def test_a_transfer_is_no_wait(self, fit):
        _, rows = fit(0.0, step=0.0, transfer=0.06)
        assert [row["train/data_wait"] for row in rows] == [0, 0]
        assert [row["train/step_seconds"] for row in rows] == pytest.approx([0.06] * 2, rel=1e-6)

    def test_validation_does_not_count(self, fit):
        stats, rows = fit(0.0, validate=0.1, step=0.03)
        assert [row["train/step_seconds"] for row in rows] == pytest.approx([0.03] * 2, rel=1e-6)
        assert [row["train/data_wait"] for row in rows] == [0, 0]
        assert stats.seconds == pytest.approx(8 * 0.03)

    def test_accumulated_gradients(self, fit):
        stats, rows = fit(0.0, step=0.02, accumulate=3)
        assert (stats.steps, stats.images) == (8, 48)
        assert [row["step"] for row in rows] == [3, 7]
        assert [row["train/step_seconds"] for row in rows] == pytest.approx([0.06] * 2, rel=1e-6)

    def test_writing_a_checkpoint_is_no_wait(self, fit):
        stats, rows = fit(0.0, step=0.0, callbacks=[SlowCheckpoint(0.05)])
        assert [row["train/data_wait"] for row in rows] == [0, 0]
        assert (stats.seconds, stats.waited) == pytest.approx((8 * 0.05, 0))


class TestRealTime:
    def test_reading_in_a_worker_during_a_step_is_no_wait(self, fit):
        stats, rows = fit(0.03, workers=1, step=0.12)
        assert rows[1]["train/data_wait"] < 0.2
        assert stats.seconds >= 8 * 0.12

    def test_a_resumed_run_counts_on_from_its_step(self, run):
        first = run("trainer.max_steps=2", "scheduler.total_steps=5").stats
        assert (first.steps, first.first_step, first.images) == (2, 0, 4)
        resumed = run("trainer.max_steps=5", "scheduler.total_steps=5").stats
        assert (resumed.steps, resumed.first_step, resumed.images) == (5, 2, 6)
        assert resumed.seconds > 0

    def test_a_run_that_does_not_measure_it(self, run):
        stats = run("callbacks.throughput=null").stats
        assert stats == RunStats(steps=2)
