"""Masks of training photos: the mask file of each photo, and checks that masks fit their photos."""

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
from lookcast.paths import check_path
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_photo

NUM_CHECKED = 1000
"""Number of masks whose sizes are checked before a run. In training, a photo is skipped if its mask does not fit."""


def mask_path(photo: Path, folder: str | Path) -> Path:
    """Return the path of a photo's mask, such as `FOLDER/a.png` for the photo `a.jpg`."""
    return Path(folder) / f"{photo.stem}.png"


def read_labels(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Read a mask at the size of its photo, and return the label of each pixel.

    Args:
        path: the mask file, in the nine colours of `ops.masks.PALETTE`.
        size: (height, width) of the photo.

    Returns:
        `(H, W)`, uint8, 0 to 8.

    Raises:
        PhotoError: the file can't be read, or is not in the nine colours.
        InputError: the aspect ratios of the mask and the photo differ.
    """
    labels: npt.NDArray[np.uint8] = read_mask(path, size).numpy()
    return labels


def without_masks(photos: Sequence[Path], folder: str | Path) -> Sequence[Path]:
    """Return the files of a list that are not masks. Masks are the PNG files that lie in the folder of masks.

    The list contains masks if the folder of masks lies inside the folder of photos.

    Raises:
        InputError: all files in the list are masks.
    """
    masks = Path(folder).resolve()
    inside: dict[Path, bool] = {}

    def is_mask(photo: Path) -> bool:
        if photo.suffix != ".png":
            return False
        if photo.parent not in inside:
            inside[photo.parent] = photo.parent.resolve() == masks
        return inside[photo.parent]

    kept = [photo for photo in photos if not is_mask(photo)]
    if not kept:
        raise InputError(f"photos: all {len(photos)} files are masks in {folder}")
    if len(kept) < len(photos) and isinstance(photos, PathList):
        return PathList.of(photos.root, (os.fsencode(photo.relative_to(photos.root)) for photo in kept))
    return photos if len(kept) == len(photos) else kept


def check_masks(photos: Sequence[Path], folder: str | Path) -> None:
    """Check before a run that each photo has its own mask, and that the first `NUM_CHECKED` masks fit their photos.

    The check reads only the sizes in the headers of the files.

    Raises:
        InputError: the folder is missing, a photo has no mask, two photos share a mask, a mask can't be read, or the
            aspect ratios of a mask and its photo differ.
    """
    folder = check_path(folder, "masks")
    if not folder.is_dir():
        raise InputError(f"masks: {folder} is not a folder")
    with os.scandir(folder) as entries:  # one listing is faster than a request for each photo
        existing = {entry.name for entry in entries if entry.is_file()}
    missing = [name for name in _names(photos, folder) if name not in existing]
    if missing:
        count = f"{len(missing)} of {len(photos)}"
        raise InputError(f"masks: {count} photos have no mask in {folder}; the first missing file is {missing[0]}")
    check_names(photos, folder)
    for photo in islice(photos, NUM_CHECKED):
        mask, size = mask_path(photo, folder), _stored_size(photo)
        if size is not None:  # training skips a photo that can't be read
            check_aspect(str(mask), _stored_size(mask) or read_photo(mask).pixels.shape[:2], size)


def check_names(photos: Sequence[Path], folder: Path) -> None:
    """Check that no two photos share a mask.

    Raises:
        InputError: two photos share a mask; the message names both photos.
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
    """Return the (height, width) of a photo after EXIF rotation, from the header; None if the file can't be read."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception:  # Pillow raises many types for broken headers
        return None
