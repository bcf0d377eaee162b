"""Sequences of images: the frames of a clip as photo files, numbered by a pattern or all in one folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import torch

from lookcast.checks import InputError
from lookcast.inference.video.color import LIMITED, codes_of
from lookcast.inference.video.frames import ClipError, Frame, planar, planes_of, quarter_turns
from lookcast.inference.video.jobs import frame_files, is_pattern, number_of, numbered
from lookcast.inference.video.planes import to_pixels
from lookcast.ops.resize import resize_pixels
from lookcast.photos.color import from_srgb, to_srgb
from lookcast.photos.photo import Photo, to_8_bits
from lookcast.photos.read import MAX_PIXELS, check_writable, read_photo
from lookcast.photos.write import write_photo

_BT709 = 1
DEFAULT_RATE = Fraction(25)


class Still(NamedTuple):
    """A frame of a sequence.

    Attributes:
        path: file of the frame.
        photo: the photo in the file.
        srgb: its pixels in sRGB, `(H, W, 3)`, uint8 or uint16.
    """

    path: Path
    photo: Photo
    srgb: npt.NDArray[Any]


class SequenceReader:
    """A sequence of images that is read like a clip; see `ClipReader` for the attributes.

    Args:
        path: a folder, whose photos are the frames in the order of their names; or a pattern such as `frames/%05d.png`,
            whose numbers give the order. Numbers may be missing.
        side: side of the thumbnails, in pixels.
        rate: frames per second.
        max_pixels: see `read_photo`.

    Raises:
        ClipError: there are no frames, or the first frame can't be read.
    """

    turns = 0
    damage = None

    def __init__(
        self, path: Path, side: int = 256, rate: Fraction = DEFAULT_RATE, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.path, self.rate, self._side, self._max_pixels = path, rate, side, max_pixels
        self._files = frame_files(path)
        if not self._files:
            raise ClipError(f"{path}: no files of this pattern")
        self.total = len(self._files)
        pixels = self._read(self._files[0]).srgb
        self.size = (pixels.shape[0], pixels.shape[1])
        name = "yuv420p" if pixels.dtype == np.uint8 else "yuv420p10le"
        self.first = av.VideoFrame(self.size[1], self.size[0], name)
        self.first.color_range, self.first.colorspace = LIMITED, _BT709
        self.first.color_primaries = self.first.color_trc = _BT709
        self.first.time_base = 1 / rate

    def __enter__(self) -> "SequenceReader":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def items(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            ClipError: a frame can't be read, or has another size than the first.
        """
        for number, path in enumerate(self._files):
            still = self._read(path)
            if still.srgb.shape[:2] != self.size:
                height, width = still.srgb.shape[:2]
                raise ClipError(f"{path}: is {width}x{height}, the first frame {self.size[1]}x{self.size[0]}")
            thumbnail = resize_pixels(torch.from_numpy(still.srgb), (self._side, self._side))
            yield Frame(still, thumbnail, number)

    def pixels(self, picture: Still) -> npt.NDArray[Any]:
        """Return the sRGB pixels of a frame, `(H, W, 3)`, uint8 or uint16."""
        return picture.srgb

    def _read(self, path: Path) -> Still:
        try:
            photo = read_photo(path, self._max_pixels)
            return Still(path, photo, to_srgb(photo.pixels, photo.icc_profile))
        except InputError as error:
            raise error if isinstance(error, ClipError) else ClipError(str(error)) from error


class SequenceWriter:
    """A sequence of images to write. Every file appears completely or not at all.

    Args:
        target: a folder, for frames with the names of their sources; or a pattern, for numbered frames. Frames of a
            clip are counted from 1, frames of a sequence with a pattern keep their numbers.
        source: where the frames come from.
        quality: see `write_photo`.

    Attributes:
        count: number of frames that were painted.
    """

    def __init__(self, target: Path, source: Path, quality: int = 95) -> None:
        self._target, self._source, self._quality = target, source, quality
        self.count = 0
        if is_pattern(target):
            check_writable(target, quality)

    def paint(self, picture: Any, pixels: npt.NDArray[Any] | None) -> tuple[Path, Photo]:
        """Return the file and the photo of a frame; see `ClipWriter.paint`."""
        self.count += 1
        if isinstance(picture, Still):
            path = self._path(picture.path)
            if path.exists() and path.samefile(picture.path):
                raise InputError(f"{path}: is one of the frames to read; give another folder")
            if pixels is None:
                return path, picture.photo
            own, profile = picture.photo.pixels, picture.photo.icc_profile
            return path, picture.photo._replace(pixels=from_srgb(pixels, picture.srgb, own, profile))
        if pixels is None:
            picture = planar(picture)
            pixels = to_pixels(planes_of(picture), codes_of(picture))
        deep = max(component.bits for component in picture.format.components) > 8
        upright = np.ascontiguousarray(np.rot90(pixels, quarter_turns(picture, self._source)))
        return self._path(None), Photo(upright if deep else to_8_bits(upright))

    def write(self, painted: tuple[Path, Photo]) -> None:
        """Write a frame.

        Raises:
            InputError: the file can't be written.
        """
        write_photo(*painted, self._quality)

    def _path(self, source: Path | None) -> Path:
        if not is_pattern(self._target):
            assert source is not None
            return self._target / source.name
        number = self.count
        if source is not None and is_pattern(self._source):
            known = number_of(source, self._source)
            assert known is not None
            number = known
        return numbered(self._target, number)


@contextmanager
def write_sequence(target: Path, source: Path, quality: int = 95) -> Iterator[SequenceWriter]:
    """Yield a writer for a sequence; see `SequenceWriter`. After an error, the frames so far stay."""
    yield SequenceWriter(target, source, quality)


def blank_frame(template: av.VideoFrame, number: int) -> av.VideoFrame:
    """Return a frame with neutral chroma, and with the format, colour and time base of a template."""
    frame = av.VideoFrame(template.width, template.height, template.format.name)
    frame.color_range, frame.colorspace = template.color_range, template.colorspace
    frame.color_primaries, frame.color_trc = template.color_primaries, template.color_trc
    frame.pts, frame.time_base, frame.duration = number, template.time_base, 1
    neutral = (codes_of(template).maximum + 1) // 2
    for plane in planes_of(frame):
        plane[:] = neutral
    return frame
