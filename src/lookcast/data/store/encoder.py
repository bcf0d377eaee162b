"""Photo files to the bytes that go into shards, in worker processes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch.utils.data import Dataset

from lookcast.checks import InputError
from lookcast.data.masks import mask_path
from lookcast.data.sources.folder import MIN_SIDE, PhotoFolder
from lookcast.data.store.codec import QUALITY, check_encoding, encode_labels, encode_pixels
from lookcast.photos.read import PhotoError


class ShardOptions(NamedTuple):
    """What shards are made of.

    Attributes:
        kind: how pixels are stored, one of `shard_codec.KINDS`.
        min_side: shorter side that larger photos are shrunk to.
        quality: of JPEG.
        shard_mb: a shard is closed before it grows beyond so many MiB.
    """

    kind: str = "npy"
    min_side: int = 512
    quality: int = QUALITY
    shard_mb: int = 256

    def check(self) -> None:
        """Refuse what can't be.

        Raises:
            InputError: names the option.
        """
        check_encoding(self.kind, self.quality)
        for name, number, least in (("min_side", self.min_side, MIN_SIDE), ("shard-mb", self.shard_mb, 1)):
            if number < least:
                raise InputError(f"{name}: expected at least {least}, got {number}")


class Encoded(NamedTuple):
    """A photo and its mask as bytes, or why there are none."""

    photo: bytes
    mask: bytes
    error: str | None


class PhotoEncoder(Dataset[Encoded]):
    """Photos, read, shrunk and encoded."""

    def __init__(self, photos: Sequence[Path], masks: Path | None, options: ShardOptions) -> None:
        self.source, self.options = PhotoFolder(photos, masks, options.min_side), options

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, number: int) -> Encoded:
        photo, options = self.source.photos[number], self.options
        try:
            if self.source.masks is not None and not (mask := mask_path(photo, self.source.masks)).is_file():
                raise PhotoError(f"{photo}: has no mask {mask}")
            pixels, labels = self.source.read(number)
        except PhotoError as error:  # of the photo or of its mask
            return Encoded(b"", b"", str(error))
        encoded = encode_pixels(pixels, options.kind, options.quality)
        return Encoded(encoded, b"" if labels is None else encode_labels(labels), None)
