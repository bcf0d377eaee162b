"""Which mask belongs to which photo."""

from collections.abc import Sequence
from pathlib import Path

from PIL import ExifTags, Image

from lookcast.checks import InputError
from lookcast.ops.masks import check_aspect
from lookcast.photos.files import read_photo


def mask_path(photo: Path, folder: str | Path) -> Path:
    """The PNG of the photo's stem in the folder of masks."""
    return Path(folder) / f"{photo.stem}.png"


def without_masks(photos: Sequence[Path], folder: str | Path) -> list[Path]:
    """Photos without those that would be their own mask: the folder of masks may lie inside that of the photos.

    Raises:
        InputError: nothing is left.
    """
    left = [photo for photo in photos if photo.resolve() != mask_path(photo, folder).resolve()]
    if not left:
        raise InputError(f"photos: all {len(photos)} of them are masks in {folder}")
    return left


def find_masks(photos: Sequence[Path], folder: str | Path) -> list[Path]:
    """The mask of each photo, looked at as far as the header: what does not fit is refused before a run starts.

    Raises:
        InputError: the folder is missing, a photo has no mask in it, two photos share one, or a mask can't be read or
            has another aspect ratio than its photo.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"masks: {folder} is not a folder")
    masks = [mask_path(photo, folder) for photo in photos]
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        count = f"{len(missing)} of {len(photos)}"
        raise InputError(f"masks: {count} photos have none in {folder}, the first that is missing is {missing[0].name}")
    owners: dict[Path, Path] = {}
    for photo, mask in zip(photos, masks, strict=True):
        if owners.setdefault(mask, photo) != photo:
            raise InputError(f"masks: {owners[mask]} and {photo} would share {mask}; give them different names")
    for mask, photo in owners.items():
        size = _stored_size(photo)
        if size is not None:  # else it is passed over when its turn comes
            check_aspect(str(mask), _stored_size(mask) or read_photo(mask).pixels.shape[:2], size)
    return masks


def _stored_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of an upright photo by its header alone; None for a file that can't be read."""
    try:
        with Image.open(path) as image:
            lies = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return (image.width, image.height) if lies else (image.height, image.width)
    except Exception:  # broken headers raise whatever they lead Pillow to
        return None
