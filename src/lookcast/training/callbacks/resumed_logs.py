"""Loggers go on where a resumed run goes on."""

import pytorch_lightning as pl

from lookcast.training.loggers import resume_at


class ResumedLogs(pl.Callback):
    """Tells the loggers at which step the training starts: they exist before the checkpoint is read."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """What was logged of later steps is trained again and logged again."""
        resume_at(trainer.loggers, trainer.global_step)
