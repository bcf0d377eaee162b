"""Data module of pairs. Each pair holds a content photo and a randomly drawn style photo."""

from functools import cached_property
from typing import Annotated, Any

from pydantic import Field
from torch.utils.data import Dataset

from lookcast.checks import InputError, check_call
from lookcast.data.batches import BatchTransform, collate_pairs
from lookcast.data.datamodule import Grade, PhotoDataModule
from lookcast.data.dataset import TrainPairs, TrainPhotos, ValPairs, ValPhotos
from lookcast.data.sources.base import CachedPhotos
from lookcast.data.splits import PhotoSpec, open_photos, split


class PairDataModule(PhotoDataModule):
    """Data module of pairs. Each pair holds a content photo and a randomly drawn style photo.

    The contents are chosen, cut and graded like the photos of a `PhotoDataModule`.

    Args:
        photos: the content photos, given as in `PhotoDataModule`.
        styles: the style photos, given like `photos`.
        val_styles: the validation styles, given like `styles`; None holds out `num_val` of `styles`. If contents and
            styles come from one source, training uses a held-out photo neither as content nor as style.
        same_share: share of the pairs in which content and style are two windows of one photo, with different grades.
            The regions of such a pair correspond: for example, both show the same sky. The share is taken as 0 if
            contents and styles come from different sources.
        content_grade: see `PhotoDataModule`.
        style_grade: strength of `random_grade` for styles; a quarter of the styles stay unchanged.
        options: further arguments of `PhotoDataModule`, except `masks`.

    Raises:
        InputError: an argument is out of range, masks are given, or there is no readable photo.
    """

    @check_call
    def __init__(
        self,
        photos: PhotoSpec,
        styles: PhotoSpec,
        val_styles: PhotoSpec | None = None,
        same_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0,
        content_grade: Grade = 0.5,
        style_grade: Grade = 1.0,
        **options: Any,
    ) -> None:
        if options.get("masks") is not None:
            raise InputError(f"masks: expected none, because pairs are trained unmasked, got {options['masks']}")
        super().__init__(photos, content_grade=content_grade, **options)
        self.batch_transform = BatchTransform(self.batch_transform.size, content_grade, style_grade, self.seed)
        self.one_source = styles == photos and val_styles is None
        self.same_share = same_share if self.one_source else 0.0
        self.styles = self.photos
        if not self.one_source:
            val = None if val_styles is None else open_photos(val_styles, "val_styles", None, None)
            train = open_photos(styles, "styles", None, options.get("min_side"))
            self.styles = split(train, val, options.get("num_val", 8), "styles")

    @cached_property
    def train_set(self) -> Dataset[Any]:
        """Endless dataset of training pairs. The index is the position of a pair in the run."""
        photos = CachedPhotos(self.photos.train, self.cache_bytes)
        styles = photos if self.one_source else CachedPhotos(self.styles.train, self.cache_bytes)
        return TrainPairs(
            TrainPhotos(photos, self.scale, self.seed, "content"),
            TrainPhotos(styles, self.scale, self.seed, "style"),
            self.same_share,
        )

    @cached_property
    def val_set(self) -> ValPairs:
        """Dataset of validation pairs."""
        contents, styles = (
            ValPhotos(photos.val, photos.val_numbers, self.val_size) for photos in (self.photos, self.styles)
        )
        return ValPairs(contents, styles)

    collate = staticmethod(collate_pairs)  # type: ignore[assignment]  # the datasets hold pairs

    @property
    def num_photos(self) -> int:
        """Number of training photos: the contents, plus the styles if the styles have another source."""
        return super().num_photos + (0 if self.one_source else len(self.styles.train))

    def fingerprints(self) -> list[str]:
        """Return the fingerprint of the contents, and of the styles if the styles have another source."""
        return super().fingerprints() + ([] if self.one_source else [self.styles.train.fingerprint])
