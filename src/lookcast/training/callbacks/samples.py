"""Pictures of stylized validation photos during training."""

from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torchvision.utils import make_grid

from lookcast.atomic import atomic_write
from lookcast.checks import check_call
from lookcast.training.callbacks.ema import averaged
from lookcast.training.loggers import run_loggers
from lookcast.training.modules.single import LookModule


class SampleSheet(pl.Callback):
    """Draw a picture of validation photos every n steps and at the end.

    The picture has one row for each photo. A row shows content | style | output.

    Args:
        folder: folder for the pictures, `step_000250.png` and so on.
        every_n_steps: number of steps between two pictures.
        num_photos: number of photos, which is the number of rows.
        height: height of a row in pixels.
    """

    @check_call
    def __init__(
        self,
        folder: str | Path,
        every_n_steps: Annotated[int, Field(ge=1)],
        num_photos: Annotated[int, Field(ge=1)] = 4,
        height: Annotated[int, Field(ge=1, le=4096)] = 240,
    ) -> None:
        self.folder, self.every_n_steps, self.num_photos, self.height = (
            Path(folder), every_n_steps, num_photos, height
        )  # fmt: skip
        self.drawn = -1

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Draw the picture after every n-th step."""
        # With gradient accumulation, global_step is still 0 after the first batches.
        if trainer.global_step > 0 and trainer.global_step % self.every_n_steps == 0:
            self.draw(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw the picture with the final weights."""
        self.draw(trainer, module)

    def draw(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the picture to the folder, and log the picture."""
        assert isinstance(module, LookModule)
        # With gradient accumulation, several batches have the same global_step.
        if not trainer.is_global_zero or trainer.global_step == self.drawn:
            return
        photos = trainer.datamodule.val_set  # type: ignore[attr-defined]
        self.drawn = trainer.global_step
        cells = []
        generator = module.generator.eval()
        for index in range(min(self.num_photos, len(photos))):
            batch = trainer.datamodule.val_batch(index, module.device)  # type: ignore[attr-defined]
            with averaged(trainer), torch.no_grad():
                output = module(batch).image.clamp(0, 1)
            cells += [self._cell(image) for image in (batch.content, module.style_of(batch), output)]
        generator.train()
        grid = make_grid(torch.stack(cells), nrow=3, padding=4, pad_value=1.0)
        picture = Image.fromarray((grid * 255 + 0.5).byte().permute(1, 2, 0).cpu().numpy())
        path = self.folder / f"step_{trainer.global_step:06d}.png"
        with atomic_write(path) as temporary:
            picture.save(temporary)
        for logger in run_loggers(trainer):
            logger.log_picture("samples", picture, trainer.global_step - 1)  # logs count steps from 0

    def _cell(self, image: torch.Tensor) -> torch.Tensor:
        """Resize a photo to fit into a cell of aspect ratio 3:2, and pad the cell with white."""
        height, width = self.height, self.height * 3 // 2
        factor = min(height / image.shape[-2], width / image.shape[-1])
        size = [max(1, round(d * factor)) for d in image.shape[-2:]]
        small = F.interpolate(image.float(), size, mode="bilinear", antialias=True)[0].clamp(0, 1)
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        return F.pad(small, (left, width - size[1] - left, top, height - size[0] - top), value=1.0)
