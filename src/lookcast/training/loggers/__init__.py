"""Loggers of a run for metrics, pictures and results."""

from lookcast.training.loggers.base import ResumedLogs, RunLogger, run_loggers
from lookcast.training.loggers.metrics_csv import MetricsCSV
from lookcast.training.loggers.tensorboard import RunTensorBoard
from lookcast.training.loggers.weights_and_biases import RunWandb

__all__ = ["MetricsCSV", "ResumedLogs", "RunLogger", "RunTensorBoard", "RunWandb", "run_loggers"]
