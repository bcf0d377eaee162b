import time

import pytest
import pytorch_lightning as pl
import torch

from lookcast.data.loader import TimedLoader
from lookcast.structures import PhotoBatch
from lookcast.training.callbacks import Throughput
from lookcast.training.loggers import MetricsCSV
from lookcast.training.stats import RunStats
from tests.runs import QUIET, read_metrics

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class Photos(torch.utils.data.Dataset):
    """Photos that take so many seconds each to read."""

    def __init__(self, seconds, count=64):
        self.seconds, self.count = seconds, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return torch.zeros(3, 2, 2)


class SlowCheckpoint(pl.Callback):
    """Takes so many seconds after every step, as writing to a slow disk does."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_batch_end(self, *_):
        time.sleep(self.seconds)


class Steps(pl.LightningModule):
    """Steps, transfers and validations that take so many seconds each."""

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


@pytest.fixture
def fit(tmp_path):
    """A real run of 8 steps with batches of 2; its statistics and the rows that it logs."""

    def run(read, workers=0, validate=0.0, accumulate=1, callbacks=(), **module):
        def loader(seconds, count=64):
            return TimedLoader(Photos(seconds, count), 2, num_workers=workers, collate_fn=collate)

        throughput = Throughput()
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=8, val_check_interval=4 * accumulate, num_sanity_val_steps=0,
            check_val_every_n_epoch=None, limit_val_batches=2, log_every_n_steps=4, accumulate_grad_batches=accumulate,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            callbacks=[throughput, *callbacks], logger=MetricsCSV(tmp_path),
        )  # fmt: skip
        trainer.fit(Steps(**module), loader(read), loader(validate, 4))
        return throughput.stats, [row for row in read_metrics(tmp_path) if "train/data_wait" in row]

    return run


def collate(photos):
    return PhotoBatch(torch.stack(photos))


class TestThroughput:
    @pytest.mark.parametrize(
        ("read", "step", "wait"), [(0.03, 0.0, (0.7, 1)), (0.0, 0.06, (0, 0.15)), (0.03, 0.06, (0.35, 0.65))]
    )
    def test_known_value(self, fit, read, step, wait):
        stats, rows = fit(read, step=step)
        seconds = 2 * read + step
        assert (stats.steps, stats.images) == (8, 16)
        assert [row["step"] for row in rows] == [3, 7]
        for row in rows:
            assert wait[0] <= row["train/data_wait"] <= wait[1]
            assert seconds <= row["train/step_seconds"] < 1.5 * seconds
            # Rows are means over the steps since the row before.
            assert row["train/images_per_second"] * row["train/step_seconds"] == pytest.approx(2)
            assert 0.05 < row["train/host_memory_gib"] < 100
            assert "train/gpu_memory_gib" not in row
        assert stats.seconds == pytest.approx(4 * sum(row["train/step_seconds"] for row in rows), rel=0.1)

    def test_reading_in_a_worker_during_a_step_is_no_wait(self, fit):
        _, rows = fit(0.03, workers=1, step=0.12)
        assert rows[1]["train/data_wait"] < 0.2

    def test_a_transfer_is_no_wait(self, fit):
        _, rows = fit(0.0, step=0.0, transfer=0.06)
        assert max(row["train/data_wait"] for row in rows) < 0.3
        assert min(row["train/step_seconds"] for row in rows) >= 0.06

    def test_validation_does_not_count(self, fit):
        stats, rows = fit(0.0, validate=0.1, step=0.03)  # a validation takes 0.6 s, the steps between two 0.12 s
        assert max(row["train/step_seconds"] for row in rows) < 0.08
        assert max(row["train/data_wait"] for row in rows) < 0.3
        assert stats.seconds < 0.6

    def test_accumulated_gradients(self, fit):
        stats, rows = fit(0.0, step=0.02, accumulate=3)
        assert (stats.steps, stats.images) == (8, 48)
        assert [row["step"] for row in rows] == [3, 7]
        assert min(row["train/step_seconds"] for row in rows) >= 0.06

    def test_writing_a_checkpoint_is_no_wait(self, fit):
        stats, rows = fit(0.0, step=0.0, callbacks=[SlowCheckpoint(0.05)])
        assert max(row["train/data_wait"] for row in rows) < 0.3
        assert stats.seconds >= 8 * 0.05

    def test_a_resumed_run_counts_on_from_its_step(self, run):
        first = run("trainer.max_steps=2", "scheduler.total_steps=5").work
        assert (first.steps, first.first_step, first.images) == (2, 0, 4)
        resumed = run("trainer.max_steps=5", "scheduler.total_steps=5").work
        assert (resumed.steps, resumed.first_step, resumed.images) == (5, 2, 6)
        assert resumed.seconds > 0

    def test_a_run_that_does_not_measure_it(self, run):
        stats = run("callbacks.throughput=null").work
        assert stats == RunStats(steps=2)
