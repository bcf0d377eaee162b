"""One bar for the whole run."""

import sys
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm


class RunProgress(pl.Callback):
    """One bar for the whole run, in steps, with rate and time left: a look is trained for steps, not epochs."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar where a resumed run stands."""
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self.bar = tqdm(
            total=total,
            initial=trainer.global_step,
            desc="train",
            unit="step",
            mininterval=0.5 if sys.stderr.isatty() else 10,  # a log file needs no line a step
            disable=not trainer.is_global_zero,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Show the step and its loss."""
        assert self.bar is not None
        # Lightning has divided it by the batches whose gradients are accumulated.
        loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self.bar.update(trainer.global_step - self.bar.n)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Leave the finished bar."""
        assert self.bar is not None
        self.bar.close()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the bar where the run broke off, before the message about it."""
        if self.bar is not None:
            self.bar.close()
