"""Where the figures and pictures of a run go, and what its loggers are told beside them."""

from lookcast.training.loggers.handover import close_wandb, log_config, log_picture, log_result, resume_at
from lookcast.training.loggers.metrics_csv import MetricsCSV
from lookcast.training.loggers.tensorboard import RunTensorBoard
from lookcast.training.loggers.weights_and_biases import RunWandb, wandb_logger

__all__ = [
    "MetricsCSV",
    "RunTensorBoard",
    "RunWandb",
    "close_wandb",
    "log_config",
    "log_picture",
    "log_result",
    "resume_at",
    "wandb_logger",
]
