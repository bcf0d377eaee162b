"""Photos that are files: in folders, by name, or the bundled samples."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from lookcast.checks import InputError
from lookcast.data.decoded import DecodedPhoto
from lookcast.data.masks import mask_path, read_labels
from lookcast.data.sources.listing import PathList, fingerprint_of, list_folder
from lookcast.data.sources.samples import PREFIX, sample_path
from lookcast.photos.read import PHOTO_SUFFIXES, PhotoError, read_srgb

MIN_SIDE = 16
"""The encoders' deepest taps need that many pixels."""


def find_photos(source: str | Path | Sequence[str | Path], name: str = "photos") -> Sequence[Path]:
    """Photo files of a source, sorted by name within a folder.

    Args:
        source: a folder (searched recursively, hidden files left out), a file, `sample:NAME` of a bundled photo, or a
            list of such.
        name: the setting that names the source, for the message.

    Raises:
        InputError: a file or folder that does not exist or can't be listed, or no photo in it; says what was looked
            for.
    """
    if not isinstance(source, str | Path):
        parts = [find_photos(part, name) for part in source]
        return parts[0] if len(parts) == 1 else [path for part in parts for path in part]
    if str(source).startswith(PREFIX):
        return [sample_path(str(source).removeprefix(PREFIX))]
    path = Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{name}: {path} does not exist")
    try:
        found = list_folder(path)
    except OSError as error:
        raise InputError(f"{name}: {os.fsdecode(error.filename)} can't be listed ({error.strerror})") from error
    if not found:
        kinds = " ".join(sorted(PHOTO_SUFFIXES))
        raise InputError(f"{name}: no photo in {path}; looked in it and below it for files ending in {kinds}")
    return found


class PhotoFolder:
    """Photos from files.

    Args:
        photos: the files.
        masks: folder of masks in the nine colours, see `data.masks`; None without.
        min_side: photos come shrunk to this many pixels on the shorter side, decoded at a reduced size where the format
            can; None for whole ones.

    Raises:
        InputError: no photos.
    """

    def __init__(self, photos: Sequence[Path], masks: str | Path | None = None, min_side: int | None = None) -> None:
        if not photos:
            raise InputError("photos: the list is empty")
        self.photos, self.masks, self.min_side = photos, masks, min_side

    def __len__(self) -> int:
        return len(self.photos)

    @cached_property
    def fingerprint(self) -> str:
        """Of the photos' names below their folder, which may move between a run and its continuation."""
        if isinstance(self.photos, PathList):
            return fingerprint_of(self.photos.names.tobytes())
        return fingerprint_of(b"".join(os.fsencode(path.name) + b"\0" for path in self.photos))

    def name(self, number: int) -> str:
        """The photo's path."""
        return str(self.photos[number])

    def read(self, number: int) -> DecodedPhoto:
        """Decode a photo, and its mask to the size that the photo has then.

        Raises:
            PhotoError: one of the two can't be read, or a side of the photo is shorter than `MIN_SIDE`.
        """
        path = self.photos[number]
        pixels = read_srgb(path, min_side=self.min_side)
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            raise PhotoError(f"{path}: {width}x{height} pixels, too small to train on")
        if self.masks is None:
            return DecodedPhoto(pixels, None)
        mask = mask_path(path, self.masks)
        try:
            return DecodedPhoto(pixels, read_labels(mask, (height, width)))
        except InputError as error:  # of another shape than the photo
            raise PhotoError(f"{path}: {error}") from error
