import time

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import SimpleProfiler
from torch.utils.data import DataLoader

from lookcast.structures import PhotoBatch
from lookcast.training.callbacks import Throughput
from lookcast.training.callbacks.throughput import NEXT_BATCH
from lookcast.training.loggers import MetricsCSV
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
    """A real run of 8 steps with batches of 2; its throughput, and the rows it has logged."""

    def run(read, workers=0, judge=0.0, accumulate=1, profiler=None, **module):
        def loader(seconds, count=64):
            return DataLoader(Photos(seconds, count), 2, num_workers=workers, collate_fn=collate)

        throughput = Throughput()
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=8, val_check_interval=4 * accumulate, num_sanity_val_steps=0,
            check_val_every_n_epoch=None, limit_val_batches=2, log_every_n_steps=4, accumulate_grad_batches=accumulate,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, profiler=profiler,
            callbacks=[throughput], logger=MetricsCSV(tmp_path),
        )  # fmt: skip
        trainer.fit(Steps(**module), loader(read), loader(judge, 4))
        return throughput.tally, [row for row in read_metrics(tmp_path) if "train/data_wait" in row]

    return run


def collate(photos):
    return PhotoBatch(torch.stack(photos))


class TestThroughput:
    @pytest.mark.parametrize(
        ("read", "step", "wait"), [(0.03, 0.0, (0.7, 1)), (0.0, 0.06, (0, 0.15)), (0.03, 0.06, (0.35, 0.65))]
    )
    def test_known_value(self, fit, read, step, wait):
        tally, rows = fit(read, step=step)
        seconds = 2 * read + step
        assert (tally.steps, tally.images) == (8, 16)
        assert [row["step"] for row in rows] == [3, 7]
        for row in rows:
            assert wait[0] <= row["train/data_wait"] <= wait[1]
            assert seconds <= row["train/step_seconds"] < 1.5 * seconds
            # Rows are means over the steps since the row before.
            assert row["train/images_per_second"] * row["train/step_seconds"] == pytest.approx(2)
            assert 0.05 < row["train/host_memory_gib"] < 100
            assert "train/gpu_memory_gib" not in row
        assert tally.seconds == pytest.approx(4 * sum(row["train/step_seconds"] for row in rows), rel=0.1)

    def test_photos_that_workers_read_meanwhile_are_not_waited_for(self, fit):
        _, rows = fit(0.03, workers=1, step=0.12)
        assert rows[1]["train/data_wait"] < 0.2

    def test_the_transfer_is_no_waiting_for_data(self, fit):
        _, rows = fit(0.0, step=0.0, transfer=0.06)
        assert max(row["train/data_wait"] for row in rows) < 0.3
        assert min(row["train/step_seconds"] for row in rows) >= 0.06

    def test_validation_does_not_count(self, fit):
        tally, rows = fit(0.0, judge=0.1, step=0.03)  # a validation takes 0.6 s, the steps between two 0.12 s
        assert max(row["train/step_seconds"] for row in rows) < 0.08
        assert max(row["train/data_wait"] for row in rows) < 0.3
        assert tally.seconds < 0.6

    def test_accumulated_gradients(self, fit):
        tally, rows = fit(0.0, step=0.02, accumulate=3)
        assert (tally.steps, tally.images) == (8, 48)
        assert [row["step"] for row in rows] == [3, 7]
        assert min(row["train/step_seconds"] for row in rows) >= 0.06

    def test_the_profiler_of_the_run_hears_everything(self, fit, tmp_path):
        profiler = SimpleProfiler(tmp_path, "profile")
        fit(0.01, step=0.0, profiler=profiler)
        waits = profiler.recorded_durations[NEXT_BATCH]
        assert len(waits) >= 8
        assert min(waits) >= 0.02
        assert len(profiler.recorded_durations["run_training_batch"]) == 8
        assert "run_training_batch" in (tmp_path / "fit-profile.txt").read_text()
