"""The Lightning module for training with one style photo, which is also the base class for training on pairs."""

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
"""A pair `(content mask, style mask)`. An element is None if that mask does not exist."""


class Target(NamedTuple):
    """Photos, features and masks with which losses and metrics compare an output.

    Attributes:
        content: content photos `(B, 3, H, W)` in [0, 1].
        style: style photos `(B, 3, h, w)`, or `(1, 3, h, w)` if all contents share one style photo.
        content_features, style_features: the features that the encoder returns for `content` and `style`.
        masks: masks of `content` and `style`; losses and metrics compare corresponding regions.
        truth: photos `(N, 3, H, W)` that the output should equal, for the N contents in `with_truth`; None if no truth
            is known.
        with_truth: for each content whose truth is known, its index in the batch.
    """

    content: torch.Tensor
    style: torch.Tensor
    content_features: Features
    style_features: Features
    masks: Masks
    truth: torch.Tensor | None = None
    with_truth: tuple[int, ...] = ()


class LookModule(pl.LightningModule):
    """Train a generator towards the look of one style photo.

    Each step draws its random numbers from the seed of its batch. All processes of a run therefore use the same random
    numbers, which do not depend on earlier steps. Checkpoints contain neither the encoder nor the style photo, because
    these are constant and the config names their files. Subclasses override `make_target`, `stylize` and
    `val_variants`.

    Args:
        generator: the network to train.
        encoder: the frozen encoder whose features the loss compares.
        loss: the weighted sum of the loss terms.
        style: the style photo, `(1, 3, H, W)` in [0, 1]; None if each batch contains style photos.
        style_mask: mask of the style photo, `(1, K, H, W)` for K regions; None without masks.
        optimizer: function that takes the generator's parameters and returns the optimiser.
        scheduler: function that takes the optimiser and returns the learning rate schedule. The schedule advances after
            every step. None keeps the learning rate constant.
        config: the run's config as plain values; the checkpoint stores the config.

    Raises:
        InputError: the loss needs a tap that the encoder lacks.
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
        # The metric does not depend on the loss settings, so that runs with different losses are comparable.
        self.style_distance = SegmentedStyleLoss(encoder.taps)
        self.style_features: Features = {}

    def forward(self, batch: PhotoBatch) -> Stylization:
        """Stylize the content photos of a batch. The generator gets no masks."""
        stylization: Stylization = self.generator(
            batch.content, self.style_of(batch) if self.generator.takes_style else None
        )
        return stylization

    def style_of(self, batch: PhotoBatch) -> torch.Tensor:
        """Return the style photo of the run, or the style photos of the batch if the run has no single style photo."""
        style = batch.style if self.style is None else self.style
        assert style is not None
        return style

    def make_target(self, batch: PhotoBatch) -> Target:
        """Return the target of a batch: the photos, features and masks with which losses compare the output."""
        with torch.no_grad():
            content_features = self.encoder(batch.content)
        masks = (batch.content_mask, self.style_mask)
        return Target(batch.content, self.style_of(batch), content_features, self.style_features, masks)

    def stylize(self, batch: PhotoBatch, target: Target) -> tuple[Target, Stylization]:
        """Stylize the photos in a training step. Return the target, which a subclass may change, and the output."""
        return target, self(batch)

    def val_variants(self, batch: PhotoBatch, target: Target) -> Iterator[tuple[str, Stylization]]:
        """Yield a pair `(prefix of the log keys, output)` for each variant of the validation; here only `val`."""
        yield "val", self(batch)

    @torch.no_grad()
    def on_fit_start(self) -> None:
        """Compute the features of the run's style photo once, on the device of the training."""
        if self.style is not None:
            self.style_features = self.encoder(self.style)

    def on_validation_start(self) -> None:
        """Compute the features of the style photo if no fit has computed them."""
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
        """Log the loss terms and the metrics of a batch, and for comparison the style distance of the input photos."""
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
        """Make the optimiser and the schedule.

        Raises:
            InputError: the optimiser or the schedule refuses a value.
        """
        try:
            optimizer = self.make_optimizer(self.generator.parameters())
            scheduler = self.make_scheduler and self.make_scheduler(optimizer)
        except InputError:
            raise
        except ValueError as error:  # torch's message names the refused value
            raise InputError(f"optimizer, scheduler: {error}") from error
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the config, as plain values, so that `torch.load` with `weights_only=True` can read the checkpoint."""
        checkpoint["config"] = self.config

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Rename the callback states of old checkpoints; Lightning calls this hook before it restores the callbacks."""
        checkpoint["callbacks"] = rename_callbacks(checkpoint.get("callbacks", {}))

    def log_training(self, terms: LossTerms) -> None:
        """Log the loss terms of a step, averaged over all processes."""
        trainer, means = self._trainer, torch.stack([term.detach() for term in terms])
        if trainer is not None:
            # The mean needs communication between the processes, so it is computed only in steps that are logged.
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
        InputError: the encoder lacks a tap; the message names the setting and the first missing tap.
    """
    missing = [tap for tap in taps if tap not in encoder.taps]
    if missing:
        given = ", ".join(encoder.taps)
        raise InputError(f"{name}: {missing[0]} is no tap of the encoder; its taps are {given}")
