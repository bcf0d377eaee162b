"""Open the photos that a setting such as `data.photos` names, and split them for training and validation."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from lookcast.checks import InputError
from lookcast.data.sources.base import PhotoSource, Subset
from lookcast.data.sources.folder import PhotoFolder, find_photos
from lookcast.data.sources.masks import check_masks, without_masks
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.index import INDEX
from lookcast.paths import check_path
from lookcast.photos.read import PhotoError


def _as_list(value: Any) -> Any:
    """Convert a sequence, except a string, to a list: pydantic can't rebuild a `PathList` or an OmegaConf list."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


PhotoSpec = Annotated[str | Path | Sequence[str | Path], BeforeValidator(_as_list)]
"""Setting that names photos: a folder, a file, `sample:NAME`, or a list of these; or the path or URL of shards."""
STORED = "stored"
"""Value of `masks` that selects the masks inside shards."""
_MIN_FOR_SPLIT = 10


def open_photos(photos: PhotoSpec, name: str, masks: str | Path | None, min_side: int | None) -> PhotoSource:
    """Open the photos that a setting such as `data.photos` names.

    Args:
        photos: value of the setting.
        name: name of the setting, for messages.
        masks: folder of the masks; `STORED` for masks inside shards; None for unmasked photos.
        min_side: length in pixels to which the shorter side of larger photos is shrunk; None keeps the original size.
            Photos in shards keep their size.

    Raises:
        InputError: there are no photos, shards are damaged, or masks are missing or do not fit the photos.
    """
    if isinstance(photos, str | Path) and _are_shards(photos, name):
        shards = PhotoShards(photos, masks=masks is not None)
        if masks not in (None, STORED):
            raise InputError(f"masks: {masks}: {name} are shards; masks={STORED} uses the masks inside the shards")
        if masks is not None and not shards.has_masks:
            raise InputError(f"masks: the shards {photos} were made without masks; see lookcast shard --masks")
        return shards
    if masks == STORED:
        raise InputError(f"masks: {STORED} is for shards, but {name} are files; name the folder of the masks")
    found = find_photos(photos, name)
    if not found:
        raise InputError(f"{name}: the list is empty")
    if masks is not None:
        found = without_masks(found, masks)
        check_masks(found, masks)
    return PhotoFolder(found, masks, min_side)


def _are_shards(source: str | Path, name: str) -> bool:
    return "://" in str(source) or (check_path(source, name) / INDEX).is_file()


class Split(NamedTuple):
    """Training and validation photos.

    Attributes:
        train: the training photos.
        val: a source that contains the validation photos, and possibly other photos.
        val_numbers: numbers of the validation photos in `val`.
        held_out: True if no validation photo is in `train`.
    """

    train: PhotoSource
    val: PhotoSource
    val_numbers: Sequence[int]
    held_out: bool


def split(photos: PhotoSource, val_photos: PhotoSource | None, num_val: int, name: str = "photos") -> Split:
    """Split photos into training and validation photos by the rules of `PhotoDataModule`.

    Raises:
        InputError: no candidate for a validation photo can be read.
    """
    if val_photos is not None:
        return Split(photos, val_photos, range(len(val_photos)), True)
    if len(photos) < _MIN_FOR_SPLIT:
        return Split(photos, photos, _pick_readable(photos, min(num_val, len(photos)), name), False)
    val_numbers = _pick_readable(photos, min(num_val, len(photos) // 10), name)
    return Split(Subset(photos, val_numbers), photos, val_numbers, True)


def _pick_readable(photos: PhotoSource, count: int, name: str) -> list[int]:
    """Divide the photos into `count` equal ranges, and return the number of the first readable photo of each range.

    Training skips unreadable photos, but a validation set with only unreadable photos would end the run.

    Raises:
        InputError: no photo can be read.
    """
    bounds = [len(photos) * k // count for k in range(count + 1)]
    picked, unreadable = [], []
    for begin, end in pairwise(bounds):
        for number in range(begin, end):
            try:
                photos.read(number)
            except PhotoError as error:
                unreadable.append(str(error))
                continue
            picked.append(number)
            break
    if not picked:
        raise InputError(f"{name}: none of the {len(photos)} photos can be read; first error: {unreadable[0]}")
    return picked
