"""Which mask belongs to which photo."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from lookcast.checks import InputError
from lookcast.data.sources.listing import PathList
from lookcast.ops.masks import check_aspect
from lookcast.photos.read import read_mask, read_photo

CHECKED = 1000
"""So many masks are compared with their photos before a run starts; others that do not fit are passed over."""


def mask_path(photo: Path, folder: str | Path) -> Path:
    """The PNG of the photo's stem in the folder of masks."""
    return Path(folder) / f"{photo.stem}.png"


def read_labels(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The label of each pixel of a mask at its photo's size, `(H, W)`: 0 to 8, as in `ops.masks.PALETTE`.

    Raises:
        PhotoError: the file can't be read.
        InputError: the aspect ratio is not the photo's.
    """
    labels: npt.NDArray[np.uint8] = read_mask(path, size)[0].argmax(0).numpy().astype(np.uint8)
    return labels


def without_masks(photos: Sequence[Path], folder: str | Path) -> Sequence[Path]:
    """Photos without those that would be their own mask: the folder of masks may lie inside that of the photos.

    Raises:
        InputError: nothing is left.
    """
    own = Path(folder).resolve()
    inside: dict[Path, bool] = {}

    def is_mask(photo: Path) -> bool:
        if photo.suffix != ".png":
            return False
        if photo.parent not in inside:
            inside[photo.parent] = photo.parent.resolve() == own
        return inside[photo.parent]

    kept = [photo for photo in photos if not is_mask(photo)]
    if not kept:
        raise InputError(f"photos: all {len(photos)} of them are masks in {folder}")
    if len(kept) < len(photos) and isinstance(photos, PathList):
        return PathList.of(photos.root, (os.fsencode(photo.relative_to(photos.root)) for photo in kept))
    return photos if len(kept) == len(photos) else kept


def check_masks(photos: Sequence[Path], folder: str | Path) -> None:
    """Refuse masks that do not fit before a run starts: every name, and of the first ones the headers.

    Raises:
        InputError: the folder is missing, a photo has no mask in it, two photos share one, or a mask can't be read or
            has another aspect ratio than its photo.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"masks: {folder} is not a folder")
    with os.scandir(folder) as entries:  # one listing instead of a question for each photo
        there = {entry.name for entry in entries if entry.is_file()}
    missing = [name for name in _names(photos, folder) if name not in there]
    if missing:
        count = f"{len(missing)} of {len(photos)}"
        raise InputError(f"masks: {count} photos have none in {folder}, the first that is missing is {missing[0]}")
    check_names(photos, folder)
    for photo in islice(photos, CHECKED):
        mask, size = mask_path(photo, folder), _stored_size(photo)
        if size is not None:  # else it is passed over when its turn comes
            check_aspect(str(mask), _stored_size(mask) or read_photo(mask).pixels.shape[:2], size)


def check_names(photos: Sequence[Path], folder: Path) -> None:
    """Refuse two photos that would share a mask.

    Raises:
        InputError: names them.
    """
    if len(set(_names(photos, folder))) == len(photos):
        return
    owners: dict[str, Path] = {}
    for photo, name in zip(photos, _names(photos, folder), strict=True):
        other = owners.setdefault(name, photo)
        if other != photo:
            raise InputError(f"masks: {other} and {photo} would share {folder / name}; give them different names")


def _names(photos: Sequence[Path], folder: Path) -> Iterator[str]:
    return (mask_path(photo, folder).name for photo in photos)


def _stored_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of an upright photo by its header alone; None for a file that can't be read."""
    try:
        with Image.open(path) as image:
            lies = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return (image.width, image.height) if lies else (image.height, image.width)
    except Exception:  # broken headers raise whatever they lead Pillow to
        return None
