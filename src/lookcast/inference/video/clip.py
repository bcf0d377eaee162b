"""Reading of clips: video files with their sound, subtitles and metadata."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from av.codec.context import ThreadType
from av.stream import Disposition

from lookcast.checks import InputError
from lookcast.inference.video.color import Codes, codes_of
from lookcast.inference.video.frames import ClipError, Deinterlacer, Frame, planar, planes_of, quarter_turns
from lookcast.inference.video.planes import to_pixels
from lookcast.inference.video.thumbnail import thumbnail_of_planes
from lookcast.paths import check_file
from lookcast.photos.read import MAX_PIXELS

_TOLERANCE = Fraction(1, 2)
"""Seconds that a Matroska file may be shorter than it claims. Other files state the number of their frames, or claim
nothing."""

logger = logging.getLogger(__name__)


class ClipOptions(NamedTuple):
    """Options for reading clips.

    Attributes:
        max_pixels: largest number of pixels of a frame. A larger clip is refused before a frame is decoded.
        deinterlace: if True, make whole frames of the fields of interlaced frames. If False, refuse such frames.
    """

    max_pixels: int = MAX_PIXELS
    deinterlace: bool = False


class ClipReader:
    """An open clip.

    Args:
        path: the file.
        options: options for reading.
        side: side of the thumbnails, in pixels.

    Attributes:
        container: the open file.
        stream: the video stream.
        first: the first frame. It holds properties that the stream may lack, such as the rotation.
        turns: quarter turns counter-clockwise that bring a frame upright.
        total: number of frames as the file claims, or as its duration suggests; None if unknown.
        damage: description of the damage that `items` has found; None for an intact clip.

    Raises:
        ClipError: the file is no clip, has no frames, or has an encoding that is refused.
    """

    def __init__(self, path: Path, options: ClipOptions = ClipOptions(), side: int = 256) -> None:  # noqa: B008
        check_file(path, "clip", ClipError)
        self.path, self._options, self._side = path, options, side
        self.damage: str | None = None
        try:
            limit = {"max_pixels": str(options.max_pixels)}  # for the decoders that FFmpeg starts to guess properties
            self.container = av.open(str(path), options=limit, metadata_errors="replace")
        except (av.FFmpegError, ValueError) as error:
            raise ClipError(f"{path}: is no clip, or is cut ({_reason(error)})") from error
        try:
            self.stream = self._find_stream()
            self._check_stream()
            self._items = self._read()
            self._waiting: list[Any] = []
            self.first = self._find_first()
            self.turns = quarter_turns(self.first, path)
        except BaseException:
            self.container.close()
            raise
        self.total = self.stream.frames or _estimate(self.container, self.rate)

    def __enter__(self) -> "ClipReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright frames."""
        size = (self.first.height, self.first.width)
        return size if self.turns % 2 == 0 else (size[1], size[0])

    @property
    def rate(self) -> Fraction:
        """Average number of frames per second."""
        return self.stream.average_rate or self.stream.guessed_rate or Fraction(25)

    def items(self) -> Iterator["Frame | av.Packet[Any]"]:
        """Yield the frames with their thumbnails, and the packets of sound and subtitles, in the order of the file.

        A packet that can't be decoded is left out, and `damage` then counts the losses.

        Raises:
            ClipError: the size or the format of the frames changes, or a frame is interlaced.
        """
        number = 0
        for item in chain(self._waiting, self._items):
            if isinstance(item, av.Packet):
                yield item
            else:
                yield self._frame(item, number)
                number += 1
        self._note_missing(number)

    def pixels(self, picture: av.VideoFrame) -> np.ndarray[Any, np.dtype[np.uint16]]:
        """Return the R'G'B' pixels of a frame, uint16 `(H, W, 3)`, not turned upright."""
        picture = planar(picture)
        return to_pixels(planes_of(picture), self.codes(picture))

    def codes(self, picture: av.VideoFrame) -> Codes:
        """Return the maps between the planes of a frame and its R'G'B' values."""
        try:
            return codes_of(picture)
        except InputError as error:
            raise ClipError(f"{self.path}: {error}") from error

    def _find_stream(self) -> av.VideoStream:
        streams = [
            stream
            for stream in self.container.streams.video
            if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None
        ]
        if not streams:
            raise ClipError(f"{self.path}: has no video stream that can be decoded")
        if len(streams) > 1:
            logger.warning("%s: has %d video streams; only the first is written", self.path, len(streams))
        return streams[0]

    def _check_stream(self) -> None:
        context, most = self.stream.codec_context, self._options.max_pixels
        if context.width * context.height > most:
            raise ClipError(
                f"{self.path}: claims {context.width}x{context.height} pixels, more than the limit of {most}; "
                "--max-pixels sets the limit"
            )
        context.thread_type = ThreadType.AUTO
        context.options = {"max_pixels": str(most)}

    def _find_first(self) -> av.VideoFrame:
        """Decode up to the first frame."""
        for item in self._items:
            self._waiting.append(item)
            if isinstance(item, av.VideoFrame):
                self.codes(planar(item))  # refuses what can't be read
                return item
        raise ClipError(f"{self.path}: has no frame that can be decoded")

    def _frame(self, picture: av.VideoFrame, number: int) -> Frame:
        first = self.first
        if (picture.width, picture.height, picture.format.name) != (first.width, first.height, first.format.name):
            raise ClipError(
                f"{self.path}: frame {number} is {picture.width}x{picture.height} {picture.format.name}, the first "
                f"{first.width}x{first.height} {first.format.name}; a clip has one size and one format"
            )
        plain = planar(picture)
        thumbnail = thumbnail_of_planes(planes_of(plain), self.codes(plain), self._side)
        return Frame(picture, torch.rot90(thumbnail, self.turns, (2, 3)).contiguous(), number)

    def _read(self) -> Iterator[Any]:
        """Yield decoded frames, and the packets of other streams."""
        lost, end = 0, Fraction(0)
        copied = [stream for stream in self.container.streams if stream.type in ("audio", "subtitle")]
        deinterlace = Deinterlacer(self.stream) if self._options.deinterlace else None
        packets = self.container.demux([self.stream, *copied])
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:  # the rest of the file can't be read
                self._note_damage(f"is cut or damaged ({_reason(error)}); what can be read is kept")
                packet = None
            if packet is not None and packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet is not None and packet.stream is not self.stream:
                if packet.size:  # an empty packet stands for the end of its stream
                    yield packet
                continue
            try:
                pictures = self.stream.codec_context.decode(packet)
            except av.FFmpegError as error:
                lost += not isinstance(error, av.error.EOFError)
                pictures = []
            for picture in pictures:
                yield from self._whole(picture, deinterlace)
            if packet is None or not packet.size:
                break
        if deinterlace is not None:
            yield from deinterlace(None)
        missing = Fraction(self.container.duration or 0, av.time_base) - end
        if self.container.format.name.startswith("matroska") and missing > max(_TOLERANCE, 2 / self.rate):
            self._note_damage(f"is cut or damaged: the last {float(missing):.1f} seconds are missing")
        if lost:
            self._note_damage(f"is cut or damaged: {lost} packets can't be decoded; what can be read is kept")

    def _whole(self, picture: av.VideoFrame, deinterlace: "Deinterlacer | None") -> Iterator[av.VideoFrame]:
        """Yield whole frames."""
        if picture.time_base is None:  # frames that a decoder holds back until the end
            picture.time_base = self.stream.time_base
        if deinterlace is not None:
            yield from deinterlace(picture)
        elif picture.interlaced_frame:
            raise ClipError(f"{self.path}: is interlaced; --deinterlace makes whole frames of the fields")
        else:
            yield picture

    def _note_missing(self, number: int) -> None:
        """Report a file that ends before the end that it claims."""
        if self.stream.frames and number < self.stream.frames:
            self._note_damage(f"is cut or damaged: {number} of {self.stream.frames} frames can be read")

    def _note_damage(self, damage: str) -> None:
        self.damage = self.damage or damage


def _estimate(container: Any, rate: Fraction) -> int | None:
    return None if not container.duration else max(1, round(container.duration / av.time_base * rate))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
