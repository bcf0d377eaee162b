"""Where the mask of a photo lies."""

from pathlib import Path

from lookcast.checks import InputError


def find_masks(photos: list[Path], folder: str | Path) -> list[Path]:
    """The mask of each photo: the PNG of the same stem in `folder`.

    Raises:
        InputError: the folder is missing, or a photo has no mask in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"masks: {folder} is not a folder")
    masks = [folder / f"{photo.stem}.png" for photo in photos]
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        count = f"{len(missing)} of {len(photos)}"
        raise InputError(f"masks: {count} photos have none in {folder}, the first that is missing is {missing[0].name}")
    return masks
