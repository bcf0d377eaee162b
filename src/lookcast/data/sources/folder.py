"""Photos in files: the files of a folder, single files, or sample photos."""

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
"""Minimum length of each side of a photo in pixels. The deepest feature maps of the encoders need this length."""


def find_photos(source: str | Path | Sequence[str | Path], name: str = "photos") -> Sequence[Path]:
    """Find the photo files of a source, sorted by name within a folder.

    Args:
        source: a folder (searched recursively, without hidden files), a file, `sample:NAME` for a sample photo, or a
            list of these.
        name: the setting that holds the source, for messages.

    Raises:
        InputError: a file or folder does not exist, a folder can't be listed, a path is not a regular file, or a folder
            has no photo. For a folder without photos, the message lists the accepted suffixes.
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
        raise InputError(f"{name}: no photo in {path} or its subfolders; accepted file names end in {suffixes}")
    return found


class PhotoFolder:
    """A source of photos in files.

    Args:
        photos: paths of the photo files.
        masks: folder of masks in the nine colours of `ops.masks.PALETTE`; None for unmasked photos.
        min_side: length in pixels to which the shorter side of larger photos is shrunk, during decoding if the format
            allows that; None keeps the original size.

    Raises:
        InputError: the list of photos is empty.
    """

    def __init__(self, photos: Sequence[Path], masks: str | Path | None = None, min_side: int | None = None) -> None:
        if not photos:
            raise InputError("photos: the list is empty")
        self.photos, self.masks, self.min_side = photos, masks, min_side

    def __len__(self) -> int:
        return len(self.photos)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file names. The folder's path is left out, because the folder may move before a run resumes."""
        if isinstance(self.photos, PathList):
            return fingerprint_of(self.photos.names.tobytes())
        return fingerprint_of(b"".join(os.fsencode(path.name) + b"\0" for path in self.photos))

    def name(self, number: int) -> str:
        """Return a photo's path."""
        return str(self.photos[number])

    def read(self, number: int) -> DecodedPhoto:
        """Decode a photo, and read its mask at the photo's size.

        Raises:
            PhotoError: the photo or its mask can't be read, the mask does not fit the photo or has a colour outside the
                nine colours, or a side of the photo is shorter than `MIN_SIDE`.
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
        except InputError as error:  # an error of the mask; training skips a photo only for a PhotoError
            raise PhotoError(f"{path}: {error}") from error
