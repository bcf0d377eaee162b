"""Skip steps with NaN or infinity in losses or gradients, and end a run after too many skipped steps in a row."""

import logging
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from pytorch_lightning.plugins import MixedPrecision
from torchvision.utils import make_grid

from lookcast.atomic import atomic_write
from lookcast.checks import InputError, check_call
from lookcast.structures import PhotoBatch
from lookcast.weights import save_weights

log = logging.getLogger(__name__)


class FiniteGuard(pl.Callback):
    """Skip every step whose loss or gradients are not finite, log the gradient norm, and end a failed run.

    In a skipped step, the optimiser gets no gradients, so the weights and the optimiser's moments stay bit-identical.
    A skipped step still counts as a step, so schedule and data continue. A loss that is not finite skips the step even
    if all gradients are finite. They can be finite if the loss contains a clamp, or if the faulty loss term does not
    depend on the weights. If one process has a fault, all processes skip the step; an all-reduce of one number tells
    them of the fault.

    The decision must be known before the optimiser runs. On a GPU, each step therefore waits once for the backward
    pass. This wait delays the launch of the optimiser's kernels and of the first kernels of the next step.

    With `16-mixed`, gradients often overflow while the gradient scaler reduces its scale. The scaler itself skips these
    steps. Overflowing gradients are a fault only after the scale has fallen to 1. A loss that is not finite is a fault
    at any scale.

    The callback logs `train/grad_norm`, the gradient norm before clipping, and `train/skipped_steps`, the number of
    skipped steps in the whole run.

    Args:
        folder: folder for the photos of the step that ends the run. Each process writes two files for each batch of the
            step: a picture, and a `.safetensors` file with the tensors and the losses.
            `lookcast.weights.read_weights(path, "batch")` reads the `.safetensors` file.
        max_in_a_row: number of skipped steps in a row that ends the run.

    Raises:
        InputError: during training, after `max_in_a_row` skipped steps in a row.
    """

    @check_call
    def __init__(self, folder: str | Path, max_in_a_row: Annotated[int, Field(ge=1)] = 10) -> None:
        self.folder, self.max_in_a_row = Path(folder), max_in_a_row
        self.skipped = self.in_a_row = 0
        self.batches: list[PhotoBatch] = []  # batches of the step; several if gradients are accumulated
        self.fault: torch.Tensor | None = None  # boolean on the device: true if a loss of the step was not finite

    def state_dict(self) -> dict[str, Any]:
        """Return the counts of skipped steps."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the counts in a checkpoint."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Keep the batch until the check of the step."""
        self.batches.append(batch)

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: torch.Tensor) -> None:
        """Test the loss on the device, without waiting for the result."""
        fault = ~loss.detach().isfinite()
        self.fault = fault if self.fault is None else self.fault | fault

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Remove the gradients if any process has a fault in this step."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        assert self.fault is not None
        fault = self.fault if _is_scaling(trainer) else self.fault | ~norm.isfinite().to(self.fault.device)
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
        self.batches, self.fault = [], None

    def _warn_or_stop(self, trainer: pl.Trainer) -> None:
        step = trainer.global_step
        if trainer.is_global_zero:
            log.warning(
                "step %d is skipped: its loss or gradients are not finite; %d skipped steps in a row, %d end the run",
                step, self.in_a_row, self.max_in_a_row,
            )  # fmt: skip
        if self.in_a_row < self.max_in_a_row:
            return
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("train/")}
        for number, batch in enumerate(self.batches):
            name = f"step_{step:06d}_process_{trainer.global_rank}_batch_{number}"
            save_batch(self.folder / f"{name}.safetensors", batch, {"step": step, "metrics": metrics})
        trainer.strategy.barrier()  # the first process that ends terminates the other processes
        raise InputError(
            f"training: loss or gradients were not finite in {self.in_a_row} steps in a row, "
            f"{step - self.in_a_row + 1} to {step}; the photos of the last step are in {self.folder}"
        )


def _is_scaling(trainer: pl.Trainer) -> bool:
    """Return True if a gradient scaler can still lower its scale, so that half-precision gradients do not overflow."""
    plugin = trainer.precision_plugin
    return isinstance(plugin, MixedPrecision) and plugin.scaler is not None and plugin.scaler.get_scale() > 1


def _any_process(trainer: pl.Trainer, flag: torch.Tensor) -> bool:
    if trainer.world_size == 1:
        return bool(flag)
    number = flag.float()
    torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
    return bool(number > 0)


def save_batch(path: Path, batch: PhotoBatch, header: dict[str, Any]) -> None:
    """Write the tensors of a batch, and a picture of its photos in the order content, style, content, style, ...

    Args:
        path: path of the `.safetensors` file. The picture has the same path with the suffix `.png`, and shows pixels
            that are not finite in magenta.
        batch: the batch to write.
        header: JSON values to store in the header of the `.safetensors` file.
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
