"""Photo files to the bytes that go into shards, in worker processes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from lookcast.checks import InputError
from lookcast.data.masks import mask_path
from lookcast.data.photo_folder import MIN_SIDE
from lookcast.data.shard_codec import QUALITY, check_encoding, encode_labels, encode_pixels
from lookcast.photos.files import PhotoError, read_mask, read_srgb


class ShardOptions(NamedTuple):
    """What shards are made of.

    Attributes:
        kind: how pixels are stored, one of `shard_codec.KINDS`.
        shortest: shorter side that larger photos are shrunk to.
        quality: of JPEG.
        shard_mb: a shard is closed before it grows beyond so many MiB.
    """

    kind: str = "npy"
    shortest: int = 512
    quality: int = QUALITY
    shard_mb: int = 256

    def check(self) -> None:
        """Refuse what can't be.

        Raises:
            InputError: names the option.
        """
        check_encoding(self.kind, self.quality)
        for name, number, least in (("shortest", self.shortest, MIN_SIDE), ("shard-mb", self.shard_mb, 1)):
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
        self.photos, self.masks, self.options = photos, masks, options

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, number: int) -> Encoded:
        photo, options = self.photos[number], self.options
        try:
            pixels = read_srgb(photo, shortest=options.shortest)
            height, width = pixels.shape[:2]
            if min(height, width) < MIN_SIDE:
                raise PhotoError(f"{photo}: {width}x{height} pixels, too small to train on")
            encoded = encode_pixels(pixels, options.kind, options.quality)
            return Encoded(encoded, b"" if self.masks is None else self._mask(photo, (height, width)), None)
        except InputError as error:  # of the photo or of its mask
            message = str(error) if isinstance(error, PhotoError) else f"{photo}: {error}"
            return Encoded(b"", b"", message)

    def _mask(self, photo: Path, size: tuple[int, int]) -> bytes:
        assert self.masks is not None
        mask = mask_path(photo, self.masks)
        if not mask.is_file():
            raise PhotoError(f"{photo}: has no mask {mask}")
        return encode_labels(read_mask(mask, size)[0].argmax(0).numpy().astype(np.uint8))
