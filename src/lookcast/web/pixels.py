"""Decoded photos in memory, up to a limit, and pictures of them for the browser."""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lookcast.ops.resize import resize_pixels
from lookcast.photos.codecs.jpeg import encode_jpeg
from lookcast.photos.photo import Photo, Pixels, to_8_bits
from lookcast.photos.read import to_pixels

_JPEG_QUALITY, _WEBP_QUALITY, _PNG_LEVEL, _PNG_UP = 92, 92, 1, 32


class Opened(NamedTuple):
    """A decoded photo.

    Attributes:
        photo: the photo in its own profile, with its metadata.
        srgb: the pixels that the generator reads; the photo's own pixels if its profile counts as sRGB.
    """

    photo: Photo
    srgb: Pixels


class Preview(NamedTuple):
    """A photo in a size for the screen.

    Attributes:
        pixels: sRGB `(h, w, 3)`.
        alpha: alpha `(h, w)`; None for an opaque photo.
    """

    pixels: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8] | None


class PixelCache:
    """Decoded photos and previews by their keys. When they exceed a limit, the least recently used ones are dropped.

    Threads may use the cache together. Of several threads that need the same entry, one makes it.

    Args:
        limit: number of bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[tuple[str, ...], tuple[Any, int]] = OrderedDict()
        self._making: dict[tuple[str, ...], threading.Lock] = {}
        self._lock = threading.Lock()
        self.bytes = 0

    def get(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """Return the entry of a key; make it if it is missing.

        Args:
            key: the id of the photo, and the kind of entry.
            make: function that returns the entry, a tuple of arrays and other values.
        """
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._entries:
                    self._entries.move_to_end(key)
                    return self._entries[key][0]
            entry = make()
            self.put(key, entry)
            return entry

    def put(self, key: tuple[str, ...], entry: Any) -> None:
        """Store an entry; drop the least recently used entries if there are too many bytes."""
        size = _num_bytes(entry)
        with self._lock:
            self._remove(key)
            self._entries[key] = entry, size
            self.bytes += size
            while self.bytes > self._limit:
                self._remove(next(iter(self._entries)))

    def drop(self, photo: str) -> None:
        """Drop all entries of a photo."""
        with self._lock:
            for key in [key for key in {**self._entries, **self._making} if key[0] == photo]:
                self._remove(key)

    def _remove(self, key: tuple[str, ...]) -> None:
        self._making.pop(key, None)
        if key in self._entries:
            self.bytes -= self._entries.pop(key)[1]


def _num_bytes(entry: Any) -> int:
    """Return the bytes of the arrays of an entry. An array that two fields share counts once."""
    parts = [part for field in entry for part in (field if isinstance(field, tuple) else (field,))]
    return sum({id(part): part.nbytes for part in parts if isinstance(part, np.ndarray)}.values())


def make_preview(opened: Opened, side: int) -> Preview:
    """Shrink a photo so that its longest side is at most `side` pixels."""
    pixels = to_8_bits(opened.srgb)
    alpha = None if opened.photo.alpha is None else to_8_bits(opened.photo.alpha)
    return shrink(Preview(pixels, alpha), side)


def shrink(preview: Preview, side: int) -> Preview:
    """Shrink a preview so that its longest side is at most `side` pixels."""
    height, width = preview.pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return preview
    size = max(1, round(height * factor)), max(1, round(width * factor))
    alpha = preview.alpha
    if alpha is not None:
        alpha = np.asarray(Image.fromarray(alpha).resize(size[::-1], Image.Resampling.BILINEAR))
    return Preview(to_pixels(resize_pixels(torch.from_numpy(preview.pixels), size)), alpha)


def encode_preview(preview: Preview) -> tuple[bytes, str]:
    """Encode a preview as JPEG, or as WebP with transparency. Return the bytes and the media type."""
    if preview.alpha is None:
        return b"".join(encode_jpeg(preview.pixels, _JPEG_QUALITY, "4:4:4")), "image/jpeg"
    encoded = io.BytesIO()
    together = np.dstack((preview.pixels, preview.alpha))
    Image.fromarray(together).save(encoded, "WEBP", quality=_WEBP_QUALITY, method=0)
    return encoded.getvalue(), "image/webp"


def encode_exactly(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode pixels `(H, W, 3)` as PNG."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), _PNG_LEVEL, filter=_PNG_UP))
