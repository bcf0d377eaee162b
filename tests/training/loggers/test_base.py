import subprocess
import sys

import pytest
from PIL import Image
from pytorch_lightning.loggers import CSVLogger

from lookcast.training.callbacks import ResumedLogs
from lookcast.training.loggers import MetricsCSV, run_loggers
from tests.runs import QUIET, TINY
from tests.training.callbacks.trainers import trainer

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class TestRunLogger:
    def test_a_table_of_figures_ignores_everything_else(self, tmp_path):
        logger = MetricsCSV(tmp_path)
        logger.log_hyperparams({"seed": 1})
        logger.log_picture("samples", Image.new("RGB", (4, 4)), 0)
        logger.close()
        logger.save()
        assert list(tmp_path.iterdir()) == []


class TestResumedLogs:
    def test_loggers_of_lightning_are_left_alone(self, tmp_path):
        logger, other = MetricsCSV(tmp_path), CSVLogger(tmp_path / "other")
        for step in range(3):
            logger.log_metrics({"loss": 1.0}, step)
        logger.save()
        resumed = trainer(loggers=[other, MetricsCSV(tmp_path)], global_step=2)
        ResumedLogs().on_train_start(resumed, None)
        assert run_loggers(resumed) == resumed.loggers[1:]
        assert (tmp_path / "metrics.csv").read_text() == "step,loss\n0,1.0\n1,1.0\n"


class TestImports:
    @pytest.mark.nightly
    def test_a_run_without_wandb_does_not_import_it(self, tmp_path, encoder):
        code = (
            "import sys; from tests.runs import composed; from lookcast.training.run import train; "
            "train(composed(*sys.argv[1:])); print(sorted({'wandb', 'tensorboard'} & sys.modules.keys()))"
        )
        words = [*TINY, f"encoder.weights={encoder}", f"run_dir={tmp_path / 'run'}", "callbacks.samples=null"]
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"
