"""Data module of pairs: contents with style photos drawn for them."""

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
    """Contents with style photos drawn for them; for the contents everything is as in `PhotoDataModule`.

    Args:
        photos: the contents.
        styles: photos that give the looks: a folder, a file, `sample:NAME`, or a list of these.
        val_styles: the validation styles, given like `styles`; None holds out `num_val` of `styles`. If contents and
            styles are one source, a photo that is held out is held out of both.
        same_share: share of the pairs whose style is the content's own photo in another window with another grade: a
            pair with corresponding regions. Always 0 if contents and styles are different sources.
        content_grade: see `PhotoDataModule`.
        style_grade: strength of `random_grade` for styles, of which a quarter stay unchanged.
        options: further arguments of `PhotoDataModule`, except `masks`.

    Raises:
        InputError: an argument out of range, masks, no photos, or no readable photo.
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
        """Training pairs by position."""
        photos = CachedPhotos(self.photos.train, self.cache_bytes)
        styles = photos if self.one_source else CachedPhotos(self.styles.train, self.cache_bytes)
        return TrainPairs(
            TrainPhotos(photos, self.scale, self.seed, "content"),
            TrainPhotos(styles, self.scale, self.seed, "style"),
            self.same_share,
        )

    @cached_property
    def val_set(self) -> ValPairs:
        """Validation pairs."""
        contents, styles = (
            ValPhotos(photos.val, photos.val_numbers, self.val_size) for photos in (self.photos, self.styles)
        )
        return ValPairs(contents, styles)

    collate = staticmethod(collate_pairs)  # type: ignore[assignment]  # its datasets hold pairs

    @property
    def num_photos(self) -> int:
        """Number of training photos: contents, plus styles from another source."""
        return super().num_photos + (0 if self.one_source else len(self.styles.train))

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of the contents, and of styles from another source."""
        return super().fingerprints() + ([] if self.one_source else [self.styles.train.fingerprint])
