"""Batches of samples: collated by the workers, transformed on the training device."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from lookcast.data.dataset import PairSample, PhotoSample
from lookcast.data.sampling import seed_of
from lookcast.data.transforms import grade_some, resize_windows
from lookcast.ops.masks import NUM_LABELS
from lookcast.structures import PhotoBatch


class SampleBatch(NamedTuple):
    """Collated samples before `BatchTransform`; the windows may differ in size.

    Attributes:
        pixels: one tensor `(3, h, w)` for each sample, uint8.
        labels: one tensor `(1, h, w)` for each sample, uint8; None if unmasked.
        flips, positions, seeds: one value for each sample, see `PhotoSample`.
        skipped: one text `path: reason` for each photo that was skipped.
    """

    pixels: tuple[torch.Tensor, ...]
    labels: tuple[torch.Tensor, ...] | None
    flips: tuple[bool, ...]
    positions: tuple[int, ...]
    seeds: tuple[int, ...]
    skipped: tuple[str, ...]


class PairBatch(NamedTuple):
    """Collated pairs. Style i belongs to content i; `same[i]` is True if the two are windows of one photo."""

    content: SampleBatch
    style: SampleBatch
    same: tuple[bool, ...]


def collate(samples: Sequence[PhotoSample]) -> SampleBatch:
    """Collect samples into a batch. The windows are not resized."""
    labels = tuple(sample.labels for sample in samples if sample.labels is not None)
    return SampleBatch(
        tuple(sample.pixels for sample in samples),
        labels or None,
        tuple(sample.flip for sample in samples),
        tuple(sample.position for sample in samples),
        tuple(sample.seed for sample in samples),
        tuple(line for sample in samples for line in sample.skipped),
    )


def collate_pairs(pairs: Sequence[PairSample]) -> PairBatch:
    """Collect pairs into a batch."""
    contents, styles = collate([pair.content for pair in pairs]), collate([pair.style for pair in pairs])
    return PairBatch(contents, styles, tuple(pair.same for pair in pairs))


class BatchTransform:
    """Transform that turns a collated batch into a `PhotoBatch`, on the device of the batch.

    The transform resizes training windows to squares, changes the colours of some squares at random (grades them), and
    expands labels to one-hot masks. All random draws use the seeds of the samples.

    Args:
        size: side of the squares in pixels.
        content_grade: strength of `random_grade` for contents; half of the contents stay unchanged.
        style_grade: strength of `random_grade` for styles; a quarter of the styles stay unchanged.
        seed: seed of the run; the seed of each training step derives from it.
    """

    def __init__(self, size: int, content_grade: float, style_grade: float, seed: int) -> None:
        self.size, self.content_grade, self.style_grade, self.seed = size, content_grade, style_grade, seed

    def train_batch(self, batch: SampleBatch | PairBatch, first: int) -> PhotoBatch:
        """Make a training batch.

        Args:
            batch: collated windows of photos or of pairs.
            first: lowest position of a sample in this training step, over all processes; it decides the step's seed.
        """
        contents, styles = _parts(batch)
        ungraded, content_mask = self._squares(contents)
        content = grade_some(ungraded, self.content_grade, 0.5, contents.seeds)
        seed = seed_of(self.seed, "step", first)
        made = PhotoBatch(content, content_mask, skipped=_skipped(batch), seed=seed, seeds=contents.seeds)
        if styles is None or not isinstance(batch, PairBatch):
            return made
        style, style_mask = self._squares(styles)
        style = grade_some(style, self.style_grade, 0.75, styles.seeds)
        # The truth of two windows of one photo is the content with the grade of the style. The truth is known only if
        # the style has no grade yet, because a later grade can then be applied to both photos.
        truth = ungraded if self.style_grade == 0 and any(batch.same) else None
        return made._replace(style=style, style_mask=style_mask, ungraded=truth, same_photo=batch.same)

    def val_batch(self, batch: SampleBatch | PairBatch) -> PhotoBatch:
        """Make a validation batch of ungraded whole photos, which must all have the same size."""
        contents, styles = _parts(batch)
        content, content_mask = _whole(contents)
        style, style_mask = (None, None) if styles is None else _whole(styles)
        # The word "judged" is a part of the seed. Another word would change all validation metrics.
        seed = seed_of("judged", contents.positions[0])
        return PhotoBatch(content, content_mask, style, style_mask, _skipped(batch), seed, contents.seeds)

    def _squares(self, batch: SampleBatch) -> tuple[torch.Tensor, torch.Tensor | None]:
        flips = list(batch.flips)
        photos = resize_windows(list(batch.pixels), flips, self.size) / 255
        mask = None if batch.labels is None else _one_hot(resize_windows(list(batch.labels), flips, self.size))
        return photos, mask


def _parts(batch: SampleBatch | PairBatch) -> tuple[SampleBatch, SampleBatch | None]:
    return (batch.content, batch.style) if isinstance(batch, PairBatch) else (batch, None)


def _skipped(batch: SampleBatch | PairBatch) -> tuple[str, ...]:
    contents, styles = _parts(batch)
    return contents.skipped + (() if styles is None else styles.skipped)


def _whole(batch: SampleBatch) -> tuple[torch.Tensor, torch.Tensor | None]:
    photos = torch.stack(batch.pixels).float() / 255
    return photos, None if batch.labels is None else _one_hot(torch.stack(batch.labels))


def _one_hot(labels: torch.Tensor) -> torch.Tensor:
    """Expand labels `(B, 1, H, W)` to one-hot masks `(B, K, H, W)`, with a channel for each of the K labels."""
    return F.one_hot(labels[:, 0].long(), NUM_LABELS).permute(0, 3, 1, 2).float()
