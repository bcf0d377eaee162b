"""Decode JPEG to numpy by simplejpeg, and encode numpy to JPEG by imagecodecs. Both take 3/4 of Pillow's time.

simplejpeg decodes, because it turns libjpeg's warnings about corrupt data into errors. Pillow and imagecodecs ignore
these warnings, and libvips reports them only with `fail_on="warning"`. imagecodecs encodes, because it writes the same
bytes as Pillow. simplejpeg would use a less accurate cosine transform at qualities below 96.
"""

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from lookcast.photos.photo import PhotoError, Pixels

_MAX_SIDE = 65500
"""Largest side in pixels that libjpeg, and therefore most programs, can read. The format allows 65,535."""
_MAX_SCANS = 200
"""Largest accepted number of scans. Cameras and editors write up to twelve scans. A malicious file of a few kilobytes
can hold thousands of empty scans, and each empty scan takes as much time as a full photo."""
_MAX_METADATA, _MAX_BYTES_A_PIXEL = 64 << 20, 8
"""Limits of the number of bytes that are read from a file: a number for the metadata, plus a number for each pixel. No
photo needs more. The limits leave out large videos and pictures that follow the photo."""
_FIRST_SEGMENT, _LAST_SEGMENT = 0xE0, 0xEF
"""A metadata segment (APP0 to APP15) starts with a marker of two bytes. The second byte lies in this range."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FIRST_MARKER = 2  # position of the first marker after the start-of-image marker
_COLOR_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
# Matches the marker that ends a scan. Restart markers don't match, because they are part of the scan. A search visits
# every byte once.
_MARKER_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"(\xff[\xd0-\xd7])")
_MARKER = re.compile(rb"\xff[\xc0-\xfe]")


def decode_jpeg(path: Path, header: Image.Image, shrink: int = 1) -> npt.NDArray[np.uint8]:
    """Decode a JPEG to pixels `(H, W, channels)` in stored orientation and in the colour space of the file.

    Args:
        path: path of the file.
        header: the opened file, which determines the size.
        shrink: divisor of the size: 1, 2, 4 or 8. The quotient is rounded up.

    Raises:
        PhotoError: the file is corrupt or truncated.
    """
    # Sizes are rounded up, as libjpeg does.
    width, height = (-(-side // shrink) for side in header.size)
    color_space = _COLOR_SPACES[header.mode]
    pixels = np.empty((height, width, {"L": 1, "RGB": 3, "CMYK": 4}[header.mode]), np.uint8)
    with path.open("rb") as file:
        data = file.read(_MAX_METADATA + _MAX_BYTES_A_PIXEL * header.width * header.height)
    scans = (kind == _START_OF_SCAN for kind, _, _ in _segments(data))
    if header.info.get("progressive") and sum(itertools.islice(filter(None, scans), _MAX_SCANS + 1)) > _MAX_SCANS:
        raise PhotoError(f"{path}: broken, more than {_MAX_SCANS} scans")
    try:
        if simplejpeg.decode_jpeg_header(data, strict=False)[:2] != (header.height, header.width):
            raise PhotoError(f"{path}: broken, it states the size {header.width}x{header.height} and another size")
        try:
            _decode(data, color_space, pixels)
        except ValueError:
            # Some cameras write intact files with extra bytes between segments or padding in scans.
            ordered = _in_order(data)
            if ordered == data:
                raise
            _decode(ordered, color_space, pixels)
    except PhotoError:
        raise
    except ValueError as error:
        raise PhotoError(f"{path}: broken or truncated ({' '.join(str(error).split())})") from error
    # Adobe's programs store CMYK inverted. Pillow undoes the inversion too.
    return np.invert(pixels, out=pixels) if header.mode == "CMYK" else pixels


def _decode(data: bytes, color_space: str, pixels: npt.NDArray[np.uint8]) -> None:
    height, width = pixels.shape[:2]
    # simplejpeg chooses the smallest of 1/1, 1/2, 1/4 and 1/8 whose size is at least `height` x `width`.
    simplejpeg.decode_jpeg(data, color_space, min_height=height, min_width=width, buffer=pixels, strict=True)


def _in_order(data: bytes) -> bytes:
    """Return the bytes of the first image in a file, without extra bytes between segments and padding in scans.

    This is needed because libjpeg reports extra bytes and padding with the same message as corrupt data ("extraneous
    bytes"). Padding is a run of zeros before a restart or end marker. Zeros before a marker can also result from
    damage. They are left out too, and libjpeg then reports that data are missing.
    """
    parts, last_end = [data[:_FIRST_MARKER]], _FIRST_MARKER
    scans = False
    for kind, start, end in _segments(data):
        if scans and start > last_end:
            return data  # extra bytes between two scans are damage
        scans, last_end = scans or kind == _START_OF_SCAN, end
        segment = data[start:end]
        parts.append(b"".join(map(_without_padding, _RESTART.split(segment))) if kind == _START_OF_SCAN else segment)
    return b"".join(parts)


def _without_padding(scan: bytes) -> bytes:
    stripped = scan.rstrip(b"\0")
    return stripped + b"\0" if stripped.endswith(b"\xff") and stripped != scan else stripped  # FF 00 stands for byte FF


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (kind, start, end) for each segment of the first image; the kind is the second byte of the marker.

    The segment of a scan includes the data of the scan. The last segment is the end marker.
    """
    position = _FIRST_MARKER
    while (found := _MARKER.search(data, position)) is not None:
        kind, position = data[found.end() - 1], found.end()
        if kind != _END_OF_IMAGE:
            position += int.from_bytes(data[position : position + 2], "big")
        if kind == _START_OF_SCAN:
            after = _MARKER_AFTER_SCAN.search(data, position)
            position = len(data) if after is None else after.start()
        yield kind, found.start(), position
        if kind == _END_OF_IMAGE:
            return


def encode_jpeg(pixels: Pixels, quality: int, subsampling: str, **options: Any) -> list[memoryview]:
    """Encode pixels as JPEG, with the same bytes as Pillow. Return these bytes as a list, in the order of writing.

    Args:
        pixels: RGB `(H, W, 3)`, uint8.
        quality: JPEG quality, 1 to 100.
        subsampling: chroma subsampling: 4:4:4, 4:2:2 or 4:2:0.
        options: metadata as arguments of Pillow's `Image.save`: `exif`, `icc_profile`, ...

    Raises:
        ValueError: the photo or the metadata are larger than JPEG allows.
    """
    if max(pixels.shape[:2]) > _MAX_SIDE:
        raise ValueError(f"at most {_MAX_SIDE} pixels a side")
    contiguous = np.ascontiguousarray(pixels)
    encoded = memoryview(imagecodecs.jpeg8_encode(contiguous, quality, subsampling=subsampling.replace(":", "")))
    # Pillow writes the metadata into a JPEG of one pixel. The result has the metadata segments of this JPEG, then the
    # image data of the encoded photo.
    around = io.BytesIO()
    Image.new("RGB", (1, 1)).save(around, "JPEG", **options)
    segments = memoryview(around.getvalue())
    return [segments[: _end_of_segments(segments)], encoded[_end_of_segments(encoded) :]]


def _end_of_segments(jpeg: memoryview) -> int:
    """Return the position of the first byte after the metadata segments of a JPEG."""
    position = 2
    while _FIRST_SEGMENT <= jpeg[position + 1] <= _LAST_SEGMENT:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return position
