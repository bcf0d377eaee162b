"""Pairs of photos: each content with a style drawn for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from lookcast.data.datamodule import PhotoDataModule, split_photos
from lookcast.data.grades import random_grade
from lookcast.data.photo_folder import PhotoFolder, PhotoSample, collate
from lookcast.structures import PhotoBatch


class PairSample(NamedTuple):
    """A content photo and the style photo that was drawn for it."""

    content: PhotoSample
    style: PhotoSample


class PhotoPairs(Dataset[PairSample]):
    """Contents in their order, each with a style: at random to train on, always the same to judge by.

    Args:
        contents: the photos to change.
        styles: the photos whose look is wanted; they may be the same files.
        random: draw a new style each time; else the one that stands at a fixed distance in the list.
        same_share: how often the style is the content's own photo, cropped anew; only where both lists are the same.
    """

    def __init__(self, contents: PhotoFolder, styles: PhotoFolder, random: bool, same_share: float = 0.0) -> None:
        self.contents, self.styles, self.random, self.same_share = contents, styles, random, same_share

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, index: int) -> PairSample:
        """The pair.

        Raises:
            InputError: none of the photos can be read.
        """
        count = len(self.styles.photos)
        # Half the list away, so that a photo is not its own style where both lists are the same.
        other = int(torch.randint(count, ())) if self.random else (index + count // 2) % count
        if self.same_share > 0 and float(torch.rand(())) < self.same_share:
            other = index % count
        return PairSample(self.contents[index], self.styles[other])


def collate_pairs(samples: Sequence[PairSample]) -> PhotoBatch:
    """Stack pairs of one size."""
    contents, styles = collate([pair.content for pair in samples]), collate([pair.style for pair in samples])
    return PhotoBatch(
        contents.content,
        contents.content_mask,
        styles.content,
        styles.content_mask,
        contents.skipped + styles.skipped,
    )


class PairDataModule(PhotoDataModule):
    """Contents with style photos drawn for them; what `PhotoDataModule` says of photos holds for the contents.

    Args:
        photos: the contents.
        styles: a folder, a file, `sample:NAME`, or a list of such, whose looks are wanted.
        val_styles: the same for the styles to judge by; None holds out `num_val` of `styles`. Where contents and styles
            are one source, what is held out is held out of both.
        same_share: how often the style to train on is the content's own photo, cropped and graded anew: a pair whose
            regions correspond. Where contents and styles are different sources, never.
        content_grade, style_grade: strength of `random_grade` for each, on the device; half of the contents and a
            quarter of the styles stay as they are.
        options: those of `PhotoDataModule`, without masks.

    Raises:
        InputError: no photos, or none that can be read.
    """

    def __init__(
        self,
        photos: str | Path | Sequence[str | Path],
        styles: str | Path | Sequence[str | Path],
        val_styles: str | Path | Sequence[str | Path] | None = None,
        same_share: float = 0.0,
        content_grade: float = 0.5,
        style_grade: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(photos, **options)
        self.content_grade, self.style_grade = content_grade, style_grade
        contents, val_contents = self.train_set, self.val_set
        assert isinstance(contents, PhotoFolder)
        assert isinstance(val_contents, PhotoFolder)
        one_source = styles == photos and val_styles is None
        if one_source:
            looks, val_looks = contents.photos, val_contents.photos
        else:
            looks, val_looks, _ = split_photos(styles, val_styles, options.get("num_val", 8), None, "styles")
        styled = PhotoFolder(looks, contents.transform, cache_bytes=contents.cache_bytes)
        self.train_set = PhotoPairs(contents, styled, random=True, same_share=same_share if one_source else 0.0)
        self.val_set = PhotoPairs(val_contents, PhotoFolder(val_looks, val_contents.transform), random=False)

    collate = staticmethod(collate_pairs)  # type: ignore[assignment]  # of pairs, as its sets are

    def on_after_batch_transfer(self, batch: PhotoBatch, dataloader_idx: int) -> PhotoBatch:
        """Grade what is trained on, where the batch is; what is judged by stays as it is."""
        assert self.trainer is not None
        assert batch.style is not None
        if not self.trainer.training:
            return batch
        return batch._replace(
            content=_grade_some(batch.content, self.content_grade, 0.5),
            style=_grade_some(batch.style, self.style_grade, 0.75),
        )


def _grade_some(photos: torch.Tensor, strength: float, share: float) -> torch.Tensor:
    if strength == 0:
        return photos
    chosen = (torch.rand(len(photos), 1, 1, 1) < share).to(photos.device)
    return torch.where(chosen, random_grade(photos, strength), photos)
