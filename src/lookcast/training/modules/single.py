"""Steps of the training: what goes into the loss, and what is logged. The maths is in losses and generators."""

from collections.abc import Callable, Iterable
from typing import Any

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

Masks = tuple[torch.Tensor | None, torch.Tensor | None]
"""Regions of the content and of the style."""


class LookModule(pl.LightningModule):
    """Trains a generator towards the look of one style photo.

    The encoder and the style photo are not in the checkpoint: they are frozen, and the run's config names them.

    Args:
        generator: the network to train.
        encoder: frozen features for the loss.
        loss: weighs the terms.
        style: the style photo, `(1, 3, H, W)` in [0, 1]; None in a module whose batches bring their own.
        style_mask: its regions, `(1, K, H, W)`; None without masks.
        optimizer: makes the optimiser from the parameters.
        scheduler: makes the schedule from the optimiser, stepped every step; None for a constant rate.
        config: the run's config as plain values; goes into the checkpoint.

    What a step draws comes from the batch's seed, alike in all processes that train together, and not from what was
    drawn before.

    Raises:
        InputError: the loss compares taps that the encoder does not have.
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
            missing = [tap for tap in getattr(loss, name).taps if tap not in encoder.taps]
            if missing and getattr(loss.weights, name) > 0:
                given = ", ".join(encoder.taps)
                raise InputError(f"loss.{name}.taps: {missing[0]} is no tap of the encoder, which gives {given}")
        self.generator, self.encoder, self.loss = generator, encoder, loss
        self.register_buffer("style", style, persistent=False)
        self.register_buffer("style_mask", style_mask, persistent=False)
        self.make_optimizer, self.make_scheduler, self.config = optimizer, scheduler, config
        # The yardstick of a run is the same whatever loss it trains with.
        self.style_distance = SegmentedStyleLoss(encoder.taps)
        self.style_features: Features = {}

    def forward(self, batch: PhotoBatch) -> Stylization:
        """Stylize a batch's photos, without masks."""
        stylization: Stylization = self.generator(
            batch.content, self.style_of(batch) if self.generator.takes_style else None
        )
        return stylization

    def style_of(self, batch: PhotoBatch) -> torch.Tensor:
        """The batch's own style photos, or the one of the run."""
        style = batch.style if self.style is None else self.style
        assert style is not None
        return style

    @torch.no_grad()
    def on_fit_start(self) -> None:
        """The run's style photo does not change: its features are computed once, on the device of the training."""
        if self.style is not None:
            self.style_features = self.encoder(self.style)

    def on_validation_start(self) -> None:
        """Also for a validation without a fit."""
        if not self.style_features:
            self.on_fit_start()

    def training_step(self, batch: PhotoBatch, batch_index: int) -> torch.Tensor:
        """One step; logs every term as `train/loss/...`."""
        torch.manual_seed(batch.seed)
        with torch.no_grad():
            content_features = self.encoder(batch.content)
        output = self(batch)
        output_features = self.encoder(output.image.clamp(0, 1))
        masks = (batch.content_mask, self.style_mask)
        terms = self._terms(batch, output, content_features, output_features, self.style_features, masks)
        self.log_training(terms)
        return terms.total

    def validation_step(self, batch: PhotoBatch, batch_index: int) -> None:
        """Logs the terms, and the two figures a look is judged by, beside those of the untouched photo."""
        torch.manual_seed(batch.seed)
        output = self(batch)
        shown = output.image.clamp(0, 1)
        content_features, output_features = self.encoder(batch.content), self.encoder(shown)
        size, masks = len(batch.content), (batch.content_mask, self.style_mask)
        terms = self._terms(batch, output, content_features, output_features, self.style_features, masks)
        self.log_judged("val", terms, size)
        figures = {
            "val/style_distance": self.style_distance(output_features, self.style_features, *masks),
            "val/style_distance_untouched": self.style_distance(content_features, self.style_features, *masks),
            "val/edge_ssim": edge_ssim(batch.content, shown).mean(),
        }
        self.log_dict(figures, batch_size=size, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule from their factories.

        Raises:
            InputError: a value that one of them refuses.
        """
        try:
            optimizer = self.make_optimizer(self.generator.parameters())
            scheduler = self.make_scheduler and self.make_scheduler(optimizer)
        except InputError:
            raise
        except ValueError as error:  # torch's own: its message says which value
            raise InputError(f"optimizer, scheduler: {error}") from error
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Plain values only, so that the file loads with `weights_only=True`."""
        checkpoint["config"] = self.config

    def _terms(
        self,
        batch: PhotoBatch,
        output: Stylization,
        content: Features,
        painted: Features,
        style: Features,
        masks: Masks,
    ) -> LossTerms:
        terms: LossTerms = self.loss(batch.content, self.style_of(batch), output, content, painted, style, *masks)
        return terms

    def log_training(self, terms: LossTerms) -> None:
        """Log the terms of a step as their means over all processes."""
        trainer, means = self._trainer, torch.stack([term.detach() for term in terms])
        if trainer is not None:
            # For a mean, every process has to hear from every other: only for the steps that are written down.
            if not trainer._logger_connector.should_update_logs:
                return
            means = trainer.strategy.reduce(means, reduce_op="mean")
        self.log_dict({f"train/loss/{name}": mean for name, mean in zip(terms._fields, means, strict=True)})

    def log_judged(self, stage: str, terms: LossTerms, batch_size: int) -> None:
        """Log the terms of photos to judge by, to be averaged over all of them."""
        values = {f"{stage}/loss/{name}": term for name, term in terms._asdict().items()}
        self.log_dict(values, batch_size=batch_size, sync_dist=True)
