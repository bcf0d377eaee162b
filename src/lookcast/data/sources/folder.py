"""Photos in files: of a folder, by path, or the bundled samples."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from lookcast.checks import InputError
from lookcast.data.sources.base import DecodedPhoto
from lookcast.data.sources.listing import PathList, fingerprint_of, list_folder
from lookcast.data.sources.masks import mask_path, read_labels
from lookcast.data.sources.samples import PREFIX, sample_path
from lookcast.paths import check_file, check_path
from lookcast.photos.read import PHOTO_SUFFIXES, PhotoError, read_srgb

MIN_SIDE = 16
"""Shortest side of a photo, in pixels: the deepest taps of the encoders need it."""


def find_photos(source: str | Path | Sequence[str | Path], name: str = "photos") -> Sequence[Path]:
    """Find the photo files of a source, sorted by name within a folder.

    Args:
        source: a folder (searched recursively, hidden files left out), a file, `sample:NAME` of a bundled photo, or a
            list of these.
        name: the setting that holds the source, for messages.

    Raises:
        InputError: a file or folder does not exist or can't be listed, a file is not a regular one, or a folder has no
            photo; the message says which suffixes count.
    """
    if not isinstance(source, str | Path):
        parts = [find_photos(part, name) for part in source]
        return parts[0] if len(parts) == 1 else [path for part in parts for path in part]
    if str(source).startswith(PREFIX):
        return [sample_path(str(source).removeprefix(PREFIX))]
    path = check_path(source, name)
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{name}: {path} does not exist")
        try:
            return [check_file(path, "photo")]
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    try:
        found = list_folder(path)
    except OSError as error:
        raise InputError(f"{name}: {os.fsdecode(error.filename)} can't be listed ({error.strerror})") from error
    if not found:
        suffixes = " ".join(sorted(PHOTO_SUFFIXES))
        raise InputError(f"{name}: no photo in {path}; looked in it and below it for files ending in {suffixes}")
    return found


class PhotoFolder:
    """Photos from files.

    Args:
        photos: the files.
        masks: folder of masks in the nine colours, see `data.sources.masks`; None for unmasked photos.
        min_side: photos are shrunk to this many pixels on the shorter side, while decoding where the format allows;
            None keeps their size.

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
        """Hash the names below the folder, not its path: a folder may move before a run is resumed."""
        if isinstance(self.photos, PathList):
            return fingerprint_of(self.photos.names.tobytes())
        return fingerprint_of(b"".join(os.fsencode(path.name) + b"\0" for path in self.photos))

    def name(self, number: int) -> str:
        """Return a photo's path."""
        return str(self.photos[number])

    def read(self, number: int) -> DecodedPhoto:
        """Decode a photo, and read its mask at the photo's size.

        Raises:
            PhotoError: the photo or its mask can't be read, the mask does not fit or is not in the nine colours, or a
                side of the photo is shorter than `MIN_SIDE`.
        """
        path = self.photos[number]
        pixels = read_srgb(path, min_side=self.min_side)
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            raise PhotoError(f"{path}: {width}x{height} pixels, too small to train on")
        if self.masks is None:
            return DecodedPhoto(pixels, None)
        try:
            return DecodedPhoto(pixels, read_labels(mask_path(path, self.masks), (height, width)))
        except PhotoError:
            raise
        except InputError as error:  # of the mask; training skips a photo for a PhotoError only
            raise PhotoError(f"{path}: {error}") from error
