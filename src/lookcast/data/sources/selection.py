"""What `data.photos` may name, and how its photos are divided into those to train on and those to judge by."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lookcast.checks import InputError
from lookcast.data.decoded import DecodedPhoto, PhotoSource
from lookcast.data.masks import check_masks, without_masks
from lookcast.data.sources.folder import PhotoFolder, find_photos
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.index import INDEX
from lookcast.photos.read import PhotoError

PhotoSpec = str | Path | Sequence[str | Path]
"""A folder, a file, `sample:NAME`, or a list of such; or a folder or URL of shards."""
STORED = "stored"
"""In place of a folder of masks: those in the shards."""


def open_photos(photos: PhotoSpec, name: str, masks: str | Path | None, min_side: int | None) -> PhotoSource:
    """The photos of a setting.

    Args:
        photos: what the setting says.
        name: of the setting, for messages.
        masks: folder of their masks; `STORED` for those in shards; None without.
        min_side: photo files come shrunk to this many pixels on the shorter side; None for whole ones.

    Raises:
        InputError: no photos, shards that are damaged, or masks that are missing or do not fit.
    """
    if isinstance(photos, str | Path) and _are_shards(photos):
        shards = PhotoShards(photos, masks=masks is not None)
        if masks not in (None, STORED):
            raise InputError(f"masks: {masks}: {name} are shards, which bring their own masks; say masks={STORED}")
        if masks is not None and not shards.has_masks:
            raise InputError(f"masks: the shards {photos} were made without masks; see lookcast shard --masks")
        return shards
    if masks == STORED:
        raise InputError(f"masks: {STORED} is for shards, {name} are files; name the folder of their masks")
    found = find_photos(photos, name)
    if not found:
        raise InputError(f"{name}: the list is empty")
    if masks is not None:
        found = without_masks(found, masks)
        check_masks(found, masks)
    return PhotoFolder(found, masks, min_side)


def _are_shards(source: str | Path) -> bool:
    return "://" in str(source) or (Path(source) / INDEX).is_file()


class Split(NamedTuple):
    """Photos to train on and to judge by.

    Attributes:
        train: those to train on.
        val: those among which the ones to judge by are.
        judged: their numbers in `val`.
        held_out: whether these are kept out of the training.
    """

    train: PhotoSource
    val: PhotoSource
    judged: Sequence[int]
    held_out: bool


def split(photos: PhotoSource, val_photos: PhotoSource | None, num_val: int, name: str = "photos") -> Split:
    """Divide photos; see `PhotoDataModule`.

    Raises:
        InputError: none of those that might be judged by can be read.
    """
    if val_photos is not None:
        return Split(photos, val_photos, range(len(val_photos)), True)
    if len(photos) < 10:
        return Split(photos, photos, _pick_readable(photos, min(num_val, len(photos)), name), False)
    judged = _pick_readable(photos, min(num_val, len(photos) // 10), name)
    return Split(Subset(photos, judged), photos, judged, True)


class Subset:
    """Photos without some of them.

    Args:
        source: the photos.
        left_out: their numbers, ascending.
    """

    def __init__(self, source: PhotoSource, left_out: Sequence[int]) -> None:
        self.source = source
        # How many of the photos that stay lie before each that is left out.
        self.before = np.asarray(left_out) - np.arange(len(left_out))

    def __len__(self) -> int:
        return len(self.source) - len(self.before)

    @property
    def fingerprint(self) -> str:
        """Of the photos and of which are left out."""
        return f"{self.source.fingerprint}-{'-'.join(map(str, self.before))}"

    def name(self, number: int) -> str:
        """What messages call the photo."""
        return self.source.name(self._there(number))

    def read(self, number: int) -> DecodedPhoto:
        """Decode the photo."""
        return self.source.read(self._there(number))

    def _there(self, number: int) -> int:
        return number + int(np.searchsorted(self.before, number, side="right"))


class Cached:
    """Photos of which the first that are read stay in memory: decoding a handful again and again would cost a tenth.

    Args:
        source: the photos.
        max_bytes: of pixels and labels that stay.
    """

    def __init__(self, source: PhotoSource, max_bytes: int) -> None:
        self.source, self.free = source, max_bytes
        self.kept: dict[int, DecodedPhoto] = {}

    def __len__(self) -> int:
        return len(self.source)

    @property
    def fingerprint(self) -> str:
        """Of the photos."""
        return self.source.fingerprint

    def name(self, number: int) -> str:
        """What messages call the photo."""
        return self.source.name(number)

    def read(self, number: int) -> DecodedPhoto:
        """The photo, decoded if it is not at hand."""
        if number in self.kept:
            return self.kept[number]
        photo = self.source.read(number)
        size = sum(array.nbytes for array in photo if array is not None)
        if size <= self.free:
            self.kept[number] = photo
            self.free -= size
        return photo


def _pick_readable(photos: PhotoSource, number: int, name: str) -> list[int]:
    """The first photo that can be read of each of `number` equal stretches.

    A photo that can't is passed over among the photos to train on; here it could be the only one to judge by.

    Raises:
        InputError: none can be read.
    """
    bounds = [len(photos) * k // number for k in range(number + 1)]
    picked, broken = [], []
    for begin, end in pairwise(bounds):
        for photo in range(begin, end):
            try:
                photos.read(photo)
            except PhotoError as error:
                broken.append(str(error))
                continue
            picked.append(photo)
            break
    if not picked:
        raise InputError(f"{name}: none of the {len(photos)} can be read, first {broken[0]}")
    return picked
