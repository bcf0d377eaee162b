"""The step of a training, and its case of one style photo for all contents."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from lookcast.checks import InputError
from lookcast.encoders.base import Encoder
from lookcast.generators.base import Generator
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.style import SegmentedStyleLoss
from lookcast.metrics.photo import edge_ssim
from lookcast.structures import Features, LossTerms, PhotoBatch, Stylization
from lookcast.training.renamed import rename_callbacks

Masks = tuple[torch.Tensor | None, torch.Tensor | None]
"""Regions of the content and of the style."""


class Target(NamedTuple):
    """Photos that an output is compared with.

    Attributes:
        content: `(B, 3, H, W)` in [0, 1].
        style: `(B, 3, h, w)`, or `(1, 3, h, w)` for one style photo.
        content_features, style_features: the encoder's.
        masks: regions by which the loss and the figures compare.
    """

    content: torch.Tensor
    style: torch.Tensor
    content_features: Features
    style_features: Features
    masks: Masks


class LookModule(pl.LightningModule):
    """Train a generator towards the look of one style photo.

    Each step draws from the seed of its batch. All processes of a run draw alike, and earlier steps have no influence.
    Checkpoints hold neither the encoder nor the style photo: they are frozen, and the run's config names them.
    Subclasses override `make_target`, `stylize` and `val_variants`.

    Args:
        generator: the network to train.
        encoder: frozen features for the loss.
        loss: the weighted terms.
        style: the style photo, `(1, 3, H, W)` in [0, 1]; None if each batch brings its own.
        style_mask: its regions, `(1, K, H, W)`; None without masks.
        optimizer: makes the optimiser from the parameters.
        scheduler: makes the schedule, stepped after every step, from the optimiser; None for a constant rate.
        config: the run's config as plain values, for the checkpoint.

    Raises:
        InputError: the loss compares taps that the encoder lacks.
    """

    style: torch.Tensor | None
    style_mask: torch.Tensor | None

    def __init__(
        self,
        generator: Generator,
        encoder: Encoder,
        loss: DeepPhotoLoss,
        style: torch.Tensor | None,
        style_mask: torch.Tensor | None,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], LRScheduler] | None,
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        for name in ("content", "style"):
            if getattr(loss.weights, name) > 0:
                check_taps(f"loss.{name}.taps", getattr(loss, name).taps, encoder)
        self.generator, self.encoder, self.loss = generator, encoder, loss
        self.register_buffer("style", style, persistent=False)
        self.register_buffer("style_mask", style_mask, persistent=False)
        self.make_optimizer, self.make_scheduler, self.config = optimizer, scheduler, config
        # Runs with different losses report the same figures.
        self.style_distance = SegmentedStyleLoss(encoder.taps)
        self.style_features: Features = {}

    def forward(self, batch: PhotoBatch) -> Stylization:
        """Stylize the photos of a batch, unmasked."""
        stylization: Stylization = self.generator(
            batch.content, self.style_of(batch) if self.generator.takes_style else None
        )
        return stylization

    def style_of(self, batch: PhotoBatch) -> torch.Tensor:
        """Return the style photo of the run, or those of the batch."""
        style = batch.style if self.style is None else self.style
        assert style is not None
        return style

    def make_target(self, batch: PhotoBatch) -> Target:
        """Return the photos, features and masks that the output of a batch is compared with."""
        with torch.no_grad():
            content_features = self.encoder(batch.content)
        masks = (batch.content_mask, self.style_mask)
        return Target(batch.content, self.style_of(batch), content_features, self.style_features, masks)

    def stylize(self, batch: PhotoBatch, target: Target) -> tuple[Target, Stylization]:
        """Return the output of a training step, with the target that the loss compares it with."""
        return target, self(batch)

    def val_variants(self, batch: PhotoBatch, target: Target) -> Iterator[tuple[str, Stylization]]:
        """Yield the outputs of a validation step, each with the prefix of its log keys."""
        yield "val", self(batch)

    @torch.no_grad()
    def on_fit_start(self) -> None:
        """Compute the features of the run's style photo once, on the device of the training."""
        if self.style is not None:
            self.style_features = self.encoder(self.style)

    def on_validation_start(self) -> None:
        """Compute them for a validation without a fit too."""
        if not self.style_features:
            self.on_fit_start()

    def training_step(self, batch: PhotoBatch, batch_index: int) -> torch.Tensor:
        """Return the loss of a batch, and log every term as `train/loss/...`."""
        torch.manual_seed(batch.seed)
        target, output = self.stylize(batch, self.make_target(batch))
        terms = self._terms(target, output, self.encoder(output.image.clamp(0, 1)))
        self.log_training(terms)
        return terms.total

    def validation_step(self, batch: PhotoBatch, batch_index: int) -> None:
        """Log the terms and the main figures of a batch, and the style distance of the untouched photos."""
        torch.manual_seed(batch.seed)
        target = self.make_target(batch)
        for prefix, output in self.val_variants(batch, target):
            image = output.image.clamp(0, 1)
            features = self.encoder(image)
            terms = self._terms(target, output, features)
            values = {f"{prefix}/loss/{name}": term for name, term in terms._asdict().items()}
            values[f"{prefix}/style_distance"] = self.style_distance(features, target.style_features, *target.masks)
            values[f"{prefix}/edge_ssim"] = edge_ssim(target.content, image).mean()
            self.log_dict(values, batch_size=len(batch.content), sync_dist=True)
        untouched = self.style_distance(target.content_features, target.style_features, *target.masks)
        self.log_dict({"val/style_distance_untouched": untouched}, batch_size=len(batch.content), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return optimiser and schedule from their factories.

        Raises:
            InputError: one of them refuses a value.
        """
        try:
            optimizer = self.make_optimizer(self.generator.parameters())
            scheduler = self.make_scheduler and self.make_scheduler(optimizer)
        except InputError:
            raise
        except ValueError as error:  # torch's own message says which value
            raise InputError(f"optimizer, scheduler: {error}") from error
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the config, as plain values, so that the file loads with `weights_only=True`."""
        checkpoint["config"] = self.config

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let renamed callbacks find their states; Lightning calls this before it restores them."""
        checkpoint["callbacks"] = rename_callbacks(checkpoint.get("callbacks", {}))

    def log_training(self, terms: LossTerms) -> None:
        """Log the terms of a step as their means over all processes."""
        trainer, means = self._trainer, torch.stack([term.detach() for term in terms])
        if trainer is not None:
            # A mean needs an exchange between all processes: only for the steps that are logged.
            if not trainer._logger_connector.should_update_logs:
                return
            means = trainer.strategy.reduce(means, reduce_op="mean")
        self.log_dict({f"train/loss/{name}": mean for name, mean in zip(terms._fields, means, strict=True)})

    def _terms(self, target: Target, output: Stylization, features: Features) -> LossTerms:
        compared = (target.content_features, features, target.style_features, *target.masks)
        terms: LossTerms = self.loss(target.content, target.style, output, *compared)
        return terms


def check_taps(name: str, taps: Iterable[str], encoder: Encoder) -> None:
    """Refuse taps that the encoder lacks.

    Raises:
        InputError: names the setting and the first such tap.
    """
    missing = [tap for tap in taps if tap not in encoder.taps]
    if missing:
        given = ", ".join(encoder.taps)
        raise InputError(f"{name}: {missing[0]} is no tap of the encoder, which gives {given}")
