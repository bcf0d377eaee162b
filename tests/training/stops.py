"""Ends of runs, for runs whose config names them: also in other processes than that of the test."""

import os
import signal

import pytorch_lightning as pl


class SignalAt(pl.Callback):
    """Sends the own process a signal when a step begins.

    Args:
        step: how many steps are trained by then.
        name: of the signal.
        process: the only one that gets it; None sends it to all.
    """

    def __init__(self, step: int, name: str = "SIGKILL", process: int | None = None):
        self.step, self.signal, self.process = step, signal.Signals[name], process

    def on_train_batch_start(self, trainer, module, batch, batch_index):
        if trainer.global_step == self.step and self.process in (None, trainer.global_rank):
            os.kill(os.getpid(), self.signal)


def signal_at(step: int, name: str = "SIGKILL", process: int | None = None) -> list[str]:
    """The overrides that put it into a run."""
    values = {"_target_": "tests.training.stops.SignalAt", "step": step, "name": name, "process": process}
    return [f"+callbacks.signal.{key}={'null' if value is None else value}" for key, value in values.items()]
