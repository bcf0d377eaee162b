"""What a run shows and leaves behind: progress, sample pictures, a list of skipped photos."""

import logging
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from torchvision.utils import make_grid
from tqdm import tqdm

from lookcast.checks import InputError
from lookcast.files import whole_file
from lookcast.structures import PhotoBatch
from lookcast.training.module import LookModule

log = logging.getLogger(__name__)


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


class SampleSheet(pl.Callback):
    """Every n steps and at the end, a picture of the photos to judge by: content | style | output, a row a photo.

    Args:
        folder: where `step_000250.png` and so on go.
        every_n_steps: steps between pictures.
        num_photos: rows.
        height: of a row in pixels.
    """

    def __init__(self, folder: str | Path, every_n_steps: int, num_photos: int = 4, height: int = 240) -> None:
        if every_n_steps < 1:
            raise InputError(f"every_n_steps: expected at least 1, got {every_n_steps}")
        self.folder, self.every_n_steps, self.num_photos, self.height = (
            Path(folder), every_n_steps, num_photos, height
        )  # fmt: skip
        self.drawn = -1

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Draw after every n-th step."""
        # With gradient accumulation the first batches leave the step at 0.
        if trainer.global_step > 0 and trainer.global_step % self.every_n_steps == 0:
            self.draw(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw the final state."""
        self.draw(trainer, module)

    def draw(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the picture and hand it to wandb where that logs the run."""
        assert isinstance(module, LookModule)
        # Gradient accumulation keeps global_step over several batches.
        if not trainer.is_global_zero or trainer.global_step == self.drawn:
            return
        photos = trainer.datamodule.val_set  # type: ignore[attr-defined]
        self.drawn = trainer.global_step
        cells = []
        generator = module.generator.eval()
        for index in range(min(self.num_photos, len(photos))):
            batch = trainer.datamodule.collate([photos[index]])  # type: ignore[attr-defined]
            batch = module.transfer_batch_to_device(batch, module.device, 0)
            with torch.no_grad():
                output = module(batch).image.clamp(0, 1)
            cells += [self._cell(image) for image in (batch.content, module.style_of(batch), output)]
        generator.train()
        grid = make_grid(torch.stack(cells), nrow=3, padding=4, pad_value=1.0)
        picture = Image.fromarray((grid * 255 + 0.5).byte().permute(1, 2, 0).cpu().numpy())
        path = self.folder / f"step_{trainer.global_step:06d}.png"
        with whole_file(path) as temporary:
            picture.save(temporary)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("samples", [picture], step=trainer.global_step)

    def _cell(self, image: torch.Tensor) -> torch.Tensor:
        """One photo, whole, on a white card of 3:2."""
        height, width = self.height, self.height * 3 // 2
        factor = min(height / image.shape[-2], width / image.shape[-1])
        size = [max(1, round(d * factor)) for d in image.shape[-2:]]
        small = F.interpolate(image.float(), size, mode="bilinear", antialias=True)[0].clamp(0, 1)
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        return F.pad(small, (left, width - size[1] - left, top, height - size[0] - top), value=1.0)


class LastCheckpoint(Checkpoint):
    """Writes what a run can be resumed from: after every validation and at the end.

    `ModelCheckpoint(save_last=True)` writes it only when the best has improved, which may be long ago.

    Args:
        path: the file, written over.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.step = Path(path), -1

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Within the training only; behind `ModelCheckpoint`, whose knowledge of the best goes into the file."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """What was trained since the last validation."""
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.global_step != self.step:
            self.step = trainer.global_step
            trainer.save_checkpoint(self.path, weights_only=False)  # of the optimiser too


class SkippedPhotos(pl.Callback):
    """Names each photo that could not be read, once, and writes their list.

    Args:
        path: the list, one `path: reason` a line; not written when every photo could be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.seen, self.counted = Path(path), dict[str, None](), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Take note of what the making of this batch skipped."""
        self._note(trainer, batch.skipped)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, *_: Any
    ) -> None:
        """The same among the photos to judge by."""
        self._note(trainer, batch.skipped)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the list; the last validation comes after the training."""
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the list."""
        self._write(trainer)

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Count them."""
        if trainer.is_global_zero and len(self.seen) > self.counted:
            self.counted = len(self.seen)
            log.warning("%d photos could not be read and were skipped; listed in %s", self.counted, self.path)

    def _note(self, trainer: pl.Trainer, lines: Iterable[str]) -> None:
        for line in lines:
            if line not in self.seen:
                self.seen[line] = None
                if trainer.is_global_zero:
                    log.warning("skipped %s", line)

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:  # each process has read photos of its own
            lists: list[list[str]] = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(lists, list(self.seen))
            self._note(trainer, chain.from_iterable(lists))
        if self.seen and trainer.is_global_zero:
            with whole_file(self.path) as temporary:
                temporary.write_text("\n".join(self.seen) + "\n")
