"""The photos of a visit: files as they were uploaded, and what is known about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch

from lookcast.checks import InputError
from lookcast.photos.color import to_srgb
from lookcast.photos.photo import Photo, PhotoError, to_8_bits
from lookcast.photos.read import read_photo
from lookcast.web.options import Limits
from lookcast.web.pixels import Opened, PixelCache, Preview, encode_preview, make_preview, shrink

_MAX_NAME = 150


class StoredPhoto:
    """A photo that a visitor has uploaded.

    Attributes:
        id: the photo's id.
        name: name of the file on the visitor's machine, without folders. It never reaches the file system.
        path: the file on the server, as it was uploaded.
        size: bytes of the file.
        width: width of the upright photo in pixels; likewise `height`.
        bit_depth: 8 or 16 bits a channel.
        has_profile: whether the file has a colour profile; likewise `has_exif`.
        mask: labels `(h, w)` as uint8, see `photos.masks.read_mask`; None without a mask.
    """

    def __init__(self, key: str, name: str, path: Path, photo: Photo) -> None:
        self.id, self.name, self.path = key, name, path
        self.size = path.stat().st_size
        self.height, self.width = photo.pixels.shape[:2]
        self.bit_depth = 16 if photo.pixels.dtype == np.uint16 else 8
        self.has_profile, self.has_exif = photo.icc_profile is not None, photo.exif is not None
        self.mask: torch.Tensor | None = None

    def describe(self) -> dict[str, Any]:
        """Return the answer of `POST photos`."""
        names = ("id", "name", "width", "height", "bit_depth", "has_profile", "has_exif")
        return {name: getattr(self, name) for name in names}


class PhotoReader:
    """Reads the photos of all visits, through a cache.

    Args:
        limits: the limits.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.cache = PixelCache(limits.cache_bytes)

    def add(self, key: str, name: str, path: Path) -> StoredPhoto:
        """Decode a file that was uploaded.

        Raises:
            PhotoError: the file is no photo, is broken, or is too large; the message has the visitor's file name.
        """
        with naming(path, name):
            opened = self._decode(path)
        self.cache.put((key, "full"), opened)
        return StoredPhoto(key, name, path, opened.photo)

    def open(self, photo: StoredPhoto) -> Opened:
        """Return a decoded photo."""
        with naming(photo.path, photo.name):
            opened: Opened = self.cache.get((photo.id, "full"), lambda: self._decode(photo.path))
        return opened

    def style_pixels(self, photo: StoredPhoto) -> Any:
        """Return a photo as `photos.read.read_srgb` reads a style: 8-bit sRGB `(H, W, 3)`."""
        return to_8_bits(self.open(photo).srgb)

    def preview(self, photo: StoredPhoto, side: int) -> Preview:
        """Return a photo whose longest side is at most `side`."""
        largest = self.limits.preview_side
        preview: Preview = self.cache.get((photo.id, "preview"), lambda: make_preview(self.open(photo), largest))
        return shrink(preview, side)

    def example_preview(self, path: Path, side: int) -> tuple[bytes, str]:
        """Return a photo that ships with lookcast, encoded in a size for the screen."""
        with naming(path, path.name):
            return encode_preview(make_preview(self._decode(path), side))

    def _decode(self, path: Path) -> Opened:
        photo = read_photo(path, self.limits.max_pixels)
        return Opened(photo, to_srgb(photo.pixels, photo.icc_profile))


@contextmanager
def naming(path: Path, name: str) -> Iterator[None]:
    """Replace the path of a file in the message of an `InputError` by the name that the visitor knows."""
    try:
        yield
    except InputError as error:
        kind = PhotoError if isinstance(error, PhotoError) else InputError
        raise kind(str(error).replace(str(path), name)) from error


def plain_name(name: str) -> str:
    """Return a file name without folders and without characters that headers or terminals could misread."""
    last = PurePosixPath(PureWindowsPath(name).name).name
    plain = "".join(character for character in last if character.isprintable() and character not in '"\\/:*?<>|')
    stem, dot, suffix = plain.strip(". ").rpartition(".")
    return f"{stem[: _MAX_NAME - len(suffix)]}{dot}{suffix}"[:_MAX_NAME] or "photo"
