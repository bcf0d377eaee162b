"""Contents with style photos drawn for them."""

from functools import cached_property
from typing import Any

from torch.utils.data import Dataset

from lookcast.data.batches import BatchTransform, collate_pairs
from lookcast.data.datamodule import PhotoDataModule
from lookcast.data.sources.selection import Cached, PhotoSpec, open_photos, split
from lookcast.data.stream import PairStream, PhotoStream, WholePairs, WholePhotos


class PairDataModule(PhotoDataModule):
    """Contents with style photos drawn for them; what `PhotoDataModule` says of photos holds for the contents.

    Args:
        photos: the contents.
        styles: a folder, a file, `sample:NAME`, or a list of such, whose looks are wanted.
        val_styles: the same for the styles to judge by; None holds out `num_val` of `styles`. Where contents and styles
            are one source, what is held out is held out of both.
        same_share: how often the style to train on is the content's own photo, cut out and graded anew: a pair whose
            regions correspond. Where contents and styles are different sources, never.
        content_grade: see `PhotoDataModule`.
        style_grade: the same for styles, a quarter of which stay as they are.
        options: those of `PhotoDataModule`, without masks.

    Raises:
        InputError: no photos, or none that can be read.
    """

    def __init__(
        self,
        photos: PhotoSpec,
        styles: PhotoSpec,
        val_styles: PhotoSpec | None = None,
        same_share: float = 0.0,
        content_grade: float = 0.5,
        style_grade: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(photos, content_grade=content_grade, **options)
        self.finisher = BatchTransform(self.finisher.size, content_grade, style_grade, self.seed)
        self.one_source = styles == photos and val_styles is None
        self.same_share = same_share if self.one_source else 0.0
        self.looks = self.photos
        if not self.one_source:
            judged = None if val_styles is None else open_photos(val_styles, "val_styles", None, None)
            looks = open_photos(styles, "styles", None, options.get("min_side"))
            self.looks = split(looks, judged, options.get("num_val", 8), "styles")

    @cached_property
    def train_set(self) -> Dataset[Any]:
        """Pairs by position."""
        photos = Cached(self.photos.train, self.cache_bytes)
        looks = photos if self.one_source else Cached(self.looks.train, self.cache_bytes)
        contents, styles = (
            PhotoStream(source, self.scale, self.seed, use) for source, use in ((photos, "content"), (looks, "style"))
        )
        return PairStream(contents, styles, self.same_share)

    @cached_property
    def val_set(self) -> WholePairs:
        """Pairs to judge by."""
        contents, styles = (
            WholePhotos(photos.val, photos.judged, self.val_size) for photos in (self.photos, self.looks)
        )
        return WholePairs(contents, styles)

    collate = staticmethod(collate_pairs)  # type: ignore[assignment]  # of pairs, as its sets are

    @property
    def num_photos(self) -> int:
        """Contents, and styles where they are others."""
        return super().num_photos + (0 if self.one_source else len(self.looks.train))

    def fingerprints(self) -> list[str]:
        """Of the contents, and of the styles where they are others."""
        return super().fingerprints() + ([] if self.one_source else [self.looks.train.fingerprint])
