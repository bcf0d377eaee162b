"""JPEG from and to numpy directly: simplejpeg reads it, imagecodecs writes it, in three quarters of Pillow's time.

simplejpeg turns libjpeg's warnings about corrupt data into errors; Pillow and imagecodecs ignore them, and libvips
reports them only with `fail_on="warning"`. imagecodecs writes the same bytes as Pillow; simplejpeg uses the coarser
fast cosine transform below a quality of 96.
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
"""Pixels a side that libjpeg reads, and with it most programs. The format itself allows 65,535."""
_MAX_SCANS = 200
"""Cameras and editors write up to twelve. A file of a few kilobytes can hold thousands of empty ones, each of which
takes as long as a whole photo."""
_MAX_METADATA, _MAX_BYTES_A_PIXEL = 64 << 20, 8
"""More than any photo needs. Films and further pictures may follow it in the file; they are not read."""
_FIRST_SEGMENT, _LAST_SEGMENT = 0xE0, 0xEF
"""Second bytes of the markers of what belongs to a photo besides its pixels (APP0 to APP15)."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FIRST_MARKER = 2  # after that of the start of the image
_COLOR_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
# After a scan: any marker but a restart, which belongs to the scan. Every byte is looked at once.
_MARKER_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"(\xff[\xd0-\xd7])")
_MARKER = re.compile(rb"\xff[\xc0-\xfe]")


def decode_jpeg(path: Path, header: Image.Image, shrink: int = 1) -> npt.NDArray[np.uint8]:
    """Decode pixels in stored orientation, `(H, W, channels)`, in the file's own colours.

    Args:
        path: the file.
        header: the opened file; no other size is decoded.
        shrink: 1, 2, 4 or 8: decode at that part of the size, rounded up.

    Raises:
        PhotoError: corrupt or truncated.
    """
    # Rounded up, as libjpeg does.
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
            raise PhotoError(f"{path}: broken, its header says {header.width}x{header.height} and other sizes")
        try:
            _decode(data, color_space, pixels)
        except ValueError:
            # Cameras write files that are intact but not quite in order.
            ordered = _in_order(data)
            if ordered == data:
                raise
            _decode(ordered, color_space, pixels)
    except PhotoError:
        raise
    except ValueError as error:
        raise PhotoError(f"{path}: broken or truncated ({' '.join(str(error).split())})") from error
    # Pillow inverts CMYK too, as Adobe's programs store it.
    return np.invert(pixels, out=pixels) if header.mode == "CMYK" else pixels


def _decode(data: bytes, color_space: str, pixels: npt.NDArray[np.uint8]) -> None:
    height, width = pixels.shape[:2]
    # At 1/1, 1/2, 1/4 or 1/8: the smallest size that is at least this one.
    simplejpeg.decode_jpeg(data, color_space, min_height=height, min_width=width, buffer=pixels, strict=True)


def _in_order(data: bytes) -> bytes:
    """Return the first image of a file without bytes between its segments and without padding in its scans.

    libjpeg reports both in the same words as corrupt data ("extraneous bytes"). Padding is a run of zeros before a
    restart or end marker. If damage has zeroed the bytes before a marker, the scan needs these zeros, and libjpeg
    reports that they are missing.
    """
    parts, last_end = [data[:_FIRST_MARKER]], _FIRST_MARKER
    scans = False
    for kind, start, end in _segments(data):
        if scans and start > last_end:
            return data  # between scans, bytes that belong to neither are damage
        scans, last_end = scans or kind == _START_OF_SCAN, end
        segment = data[start:end]
        parts.append(b"".join(map(_without_padding, _RESTART.split(segment))) if kind == _START_OF_SCAN else segment)
    return b"".join(parts)


def _without_padding(scan: bytes) -> bytes:
    stripped = scan.rstrip(b"\0")
    return stripped + b"\0" if stripped.endswith(b"\xff") and stripped != scan else stripped  # 0xFF 0 stands for 0xFF


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment of the first image, to its end marker; a scan includes its data."""
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
    """Encode a JPEG file, in parts: the same bytes as Pillow's.

    Args:
        pixels: `(H, W, 3)`, 8 bits.
        quality: 1 to 100.
        subsampling: of the colour: 4:4:4, 4:2:2 or 4:2:0.
        options: of Pillow's `Image.save`, what belongs to the photo besides its pixels: `exif`, `icc_profile`, ...

    Raises:
        ValueError: larger than JPEG allows, or more metadata than it holds.
    """
    if max(pixels.shape[:2]) > _MAX_SIDE:
        raise ValueError(f"at most {_MAX_SIDE} pixels a side")
    contiguous = np.ascontiguousarray(pixels)
    encoded = memoryview(imagecodecs.jpeg8_encode(contiguous, quality, subsampling=subsampling.replace(":", "")))
    # Pillow writes the metadata around one pixel; the encoded photo takes the place of that pixel.
    around = io.BytesIO()
    Image.new("RGB", (1, 1)).save(around, "JPEG", **options)
    segments = around.getbuffer()
    return [segments[: _end_of_segments(segments)], encoded[_end_of_segments(encoded) :]]


def _end_of_segments(jpeg: memoryview) -> int:
    """Return where the description of the pixels begins."""
    position = 2
    while _FIRST_SEGMENT <= jpeg[position + 1] <= _LAST_SEGMENT:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return position
