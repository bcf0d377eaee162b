"""Short real trainings that record the batches of a data module."""

import pytorch_lightning as pl
import torch

from lookcast.data.sampling import seed_of
from tests.runs import QUIET

IGNORED = [f"ignore:{line}" for line in (*QUIET, ".*does not have many workers.*")]
"""Warnings of Lightning in such runs."""


class Seen(pl.LightningModule):
    """A module that keeps its batches."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained, self.val = [], []

    def training_step(self, batch, _):
        self.trained.append(batch)
        return self.weight.sum()

    def validation_step(self, batch, _):
        self.val.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(data, steps, resume=None, save=None, **options):
    """Train for some steps, optionally from a checkpoint and to another; return the module with its batches."""
    options = {"limit_val_batches": 0, "num_sanity_val_steps": 0, "max_steps": steps} | options
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, **options,
    )  # fmt: skip
    seen = Seen()
    trainer.fit(seen, datamodule=data, ckpt_path=resume, weights_only=True)
    if save is not None:
        trainer.save_checkpoint(save)
    return seen


def contents(seen):
    return torch.cat([batch.content for batch in seen.trained])


def positions(seen, seed=0):
    """Return the positions of each batch's samples in the run."""
    known = {seed_of(seed, "content", position): position for position in range(200)}
    return [[known[seed] for seed in batch.seeds] for batch in seen.trained]


def names(photos, numbers=None):
    return [photos.name(number)[-11:-4] for number in (range(len(photos)) if numbers is None else numbers)]
