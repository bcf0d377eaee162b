"""What a run shows and leaves behind: progress, sample pictures, a list of skipped photos."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_lightning.loggers import WandbLogger
from torchvision.utils import make_grid
from tqdm import tqdm

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
            total=total, initial=trainer.global_step, desc="train", unit="step", disable=not trainer.is_global_zero
        )

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Show the step and its loss."""
        assert self.bar is not None
        self.bar.set_postfix(loss=f"{float(trainer.callback_metrics['train/loss/total']):.3f}", refresh=False)
        self.bar.update(trainer.global_step - self.bar.n)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Leave the finished bar."""
        assert self.bar is not None
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
            raise ValueError(f"every_n_steps: expected at least 1, got {every_n_steps}")
        self.folder, self.every_n_steps, self.num_photos, self.height = (
            Path(folder), every_n_steps, num_photos, height
        )  # fmt: skip
        self.drawn = -1

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Draw after every n-th step."""
        if trainer.global_step % self.every_n_steps == 0:
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
            content = photos[index].content[None].to(module.device)
            with torch.no_grad():
                output = generator(content).image.clamp(0, 1)
            cells += [self._cell(image) for image in (content, module.style, output)]
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


class SkippedPhotos(pl.Callback):
    """Names each photo that could not be read, once, and writes their list.

    Args:
        path: the list, one `path: reason` a line; not written when every photo could be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.seen = Path(path), dict[str, None]()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_index: int
    ) -> None:
        """Take note of what the making of this batch skipped."""
        for line in batch.skipped:
            if line not in self.seen:
                self.seen[line] = None
                log.warning("skipped %s", line)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Count them and write the list."""
        if not self.seen:
            return
        log.warning("%d photos could not be read and were skipped; listed in %s", len(self.seen), self.path)
        with whole_file(self.path) as temporary:
            temporary.write_text("\n".join(self.seen) + "\n")
