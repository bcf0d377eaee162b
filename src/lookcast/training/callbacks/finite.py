"""NaN and infinity in losses and gradients: the step is left out; too many in a row end the run."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_lightning.plugins import MixedPrecision
from torchvision.utils import make_grid

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.structures import PhotoBatch
from lookcast.weights import save_weights

log = logging.getLogger(__name__)


class FiniteGuard(pl.Callback):
    """Skips every step whose loss or gradients are not finite, logs the gradients' length, and stops a lost run.

    A skipped step changes neither weights nor the optimiser's moments, to the bit: the optimiser gets no gradients. The
    step counts as one all the same, so that schedule and data go on. A loss that is not finite counts whatever its
    gradients are: behind a clamp, or in a term that the weights do not move, it leaves no trace in them. The processes
    decide together, by one all-reduce of a number, so that a photo that breaks one of them is skipped by all.

    The decision has to be known before the optimiser runs: on a GPU this waits once a step for the backward pass. What
    runs late is the launch of the optimiser's kernels and of the next step's first.

    With `16-mixed`, gradients that overflow are what the scale is found by: the scaler skips those steps itself, and
    they count as a fault only once the scale has fallen to 1. A loss that is not finite counts at any scale.

    Logs `train/grad_norm`, before clipping, and `train/skipped_steps`, of the whole run.

    Args:
        folder: where each process puts its photos of the step that ends the run: tensors and losses
            (`lookcast.weights.read_weights(path, "batch")`) and a picture.
        most_in_a_row: skipped steps in a row that end the run.

    Raises:
        InputError: `most_in_a_row` below 1; and, in the training, that many skipped steps in a row.
    """

    def __init__(self, folder: str | Path, most_in_a_row: int = 10) -> None:
        if most_in_a_row < 1:
            raise InputError(f"most_in_a_row: expected at least 1, got {most_in_a_row}")
        self.folder, self.most_in_a_row = Path(folder), most_in_a_row
        self.skipped = self.in_a_row = 0
        self.batches: list[PhotoBatch] = []  # of the step: several where gradients are accumulated
        self.lost: torch.Tensor | None = None  # whether a loss of the step was not finite; on the device

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Hold on to the batch until its step is known to be good."""
        self.batches.append(batch)

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: torch.Tensor) -> None:
        """Take note of the loss without waiting for it."""
        lost = ~loss.detach().isfinite()
        self.lost = lost if self.lost is None else self.lost | lost

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Skip the step or let it pass."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        assert self.lost is not None
        fault = self.lost if _is_searching(trainer) else self.lost | ~norm.isfinite().to(self.lost.device)
        if skip := _any_process(trainer, fault):
            for parameter in parameters:
                parameter.grad = None
            self.skipped, self.in_a_row = self.skipped + 1, self.in_a_row + 1
        else:
            self.in_a_row = 0
        module.log("train/grad_norm", norm, on_step=True, on_epoch=False, batch_size=1)
        module.log("train/skipped_steps", float(self.skipped), on_step=True, on_epoch=False, batch_size=1)
        if skip:
            self._warn_or_stop(trainer)
        self.batches, self.lost = [], None

    def _warn_or_stop(self, trainer: pl.Trainer) -> None:
        step = trainer.global_step
        if trainer.is_global_zero:
            log.warning(
                "step %d is skipped: its loss or gradients are not finite; %d in a row, %d end the run",
                step, self.in_a_row, self.most_in_a_row,
            )  # fmt: skip
        if self.in_a_row < self.most_in_a_row:
            return
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("train/")}
        for number, batch in enumerate(self.batches):
            name = f"step_{step:06d}_process_{trainer.global_rank}_batch_{number}"
            save_batch(self.folder / f"{name}.safetensors", batch, {"step": step, "metrics": metrics})
        trainer.strategy.barrier()  # the first process to end takes the others with it
        raise InputError(
            f"training: loss or gradients were not finite in {self.in_a_row} steps in a row, "
            f"{step - self.in_a_row + 1} to {step}; the photos of the last are in {self.folder}"
        )


def _is_searching(trainer: pl.Trainer) -> bool:
    """Whether a scaler still looks for a scale at which half-precision gradients do not overflow."""
    plugin = trainer.precision_plugin
    return isinstance(plugin, MixedPrecision) and plugin.scaler is not None and plugin.scaler.get_scale() > 1


def _any_process(trainer: pl.Trainer, flag: torch.Tensor) -> bool:
    if trainer.world_size == 1:
        return bool(flag)
    number = flag.float()
    torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
    return bool(number > 0)


def save_batch(path: Path, batch: PhotoBatch, header: dict[str, Any]) -> None:
    """Write a batch's tensors, and beside them a picture of its photos: content, style, content, style, ...

    Args:
        path: a `.safetensors` file; the picture is the `.png` of the same name. Pixels that are not finite are magenta.
        batch: the photos.
        header: JSON values that go with them.
    """
    fields = batch._asdict()
    tensors = {name: value for name, value in fields.items() if isinstance(value, torch.Tensor)}
    others = {name: value for name, value in fields.items() if name not in tensors}
    save_weights(path, "batch", tensors, {**header, "batch": others})
    photos = [batch.content]
    if batch.style is not None:
        photos.append(F.interpolate(batch.style.float(), batch.content.shape[-2:], mode="bilinear", antialias=True))
    cells = torch.stack(photos, 1).flatten(0, 1).detach().float().cpu()
    magenta = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)
    cells = torch.where(cells.isfinite().all(1, keepdim=True), cells, magenta).clamp(0, 1)
    pixels = (make_grid(cells, nrow=8, padding=4, pad_value=1.0) * 255 + 0.5).byte()
    with atomic_write(path.with_suffix(".png")) as temporary:
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(temporary)
