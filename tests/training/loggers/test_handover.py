from pytorch_lightning.loggers import CSVLogger

from lookcast.training.loggers import MetricsCSV, close_wandb, log_config, resume_at


class TestLogConfig:
    def test_other_loggers_are_left_alone(self, tmp_path):
        logger = MetricsCSV(tmp_path)
        log_config([logger], {"seed": 1})
        close_wandb([logger])
        logger.save()
        assert list(tmp_path.iterdir()) == []


class TestResumeAt:
    def test_other_loggers_are_left_alone(self, tmp_path):
        logger = MetricsCSV(tmp_path)
        for step in range(3):
            logger.log_metrics({"loss": 1.0}, step)
        logger.save()
        logger = MetricsCSV(tmp_path)
        resume_at([CSVLogger(tmp_path / "other"), logger], 2)
        assert (tmp_path / "metrics.csv").read_text() == "step,loss\n0,1.0\n1,1.0\n"
