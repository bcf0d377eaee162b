"""Writing of clips: the encoded frames, and copies of everything else that the source holds."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from lookcast.atomic import atomic_write
from lookcast.inference.video.clip import ClipReader
from lookcast.inference.video.clip_tags import copy_file_tags, copy_stream_tags, muxer_options
from lookcast.inference.video.color import codes_of
from lookcast.inference.video.encoder import EncoderOptions, configure, pick_encoder, pick_format
from lookcast.inference.video.frames import ClipError, display_matrix, planar, planes_of
from lookcast.inference.video.jobs import part_path
from lookcast.inference.video.planes import from_pixels
from lookcast.inference.video.sequence import Still, blank_frame
from lookcast.inference.video.spare_file import SpareFile

_PROGRESSIVE = 1
"""FFmpeg's number of the field order of whole frames. 0 is unknown, and larger numbers are orders of fields."""

logger = logging.getLogger(__name__)


@contextmanager
def write_clip(
    target: Path, picture: av.VideoFrame, rate: Fraction, source: ClipReader | None, options: EncoderOptions
) -> Iterator["ClipWriter"]:
    """Yield a writer for a clip. The clip appears under its name when the block ends.

    If the block is interrupted or the disk is full, the frames so far become a playable file `STEM.part.SUFFIX`. After
    any other error, no file is left.

    Args:
        target: the file to write. Its suffix chooses the container.
        picture: a frame with the format, colour and rotation of all frames.
        rate: frames per second, for encoders that plan with it. The frames keep their own times.
        source: clip to copy sound, subtitles, chapters and metadata from.
        options: options of the encoder.

    Raises:
        ClipError: the container can't hold a stream.
        InputError: the encoder does not exist or refuses a setting, or the file can't be written.
    """
    with atomic_write(target) as temporary:
        writer = ClipWriter(temporary, target, picture, rate, source, options)
        try:
            yield writer
            writer.finish()
        except (KeyboardInterrupt, OSError) as error:
            if writer.finish_part(isinstance(error, KeyboardInterrupt)):
                part = part_path(target)
                temporary.replace(part)
                logger.warning("%s: has the first %d frames", part, writer.count)
            raise
        except BaseException:
            writer.close()
            raise


class ClipWriter:
    """An open clip to write; see `write_clip`.

    Attributes:
        count: number of frames that were written.
    """

    def __init__(
        self,
        path: Path,
        target: Path,
        picture: av.VideoFrame,
        rate: Fraction,
        source: ClipReader | None,
        options: EncoderOptions,
    ) -> None:
        self._target, self._source = target, source
        self._template, self._blank = picture, 0
        self.count = 0
        self._file = SpareFile(path)
        try:
            self._container = self._open()
            self._copies: dict[int, Any] = {}
            self._add_streams(picture, rate, options)
        except BaseException:
            self._file.close()
            raise

    def paint(self, picture: Any, pixels: npt.NDArray[Any] | None) -> av.VideoFrame:
        """Return a frame to write.

        Args:
            picture: the frame as it was read, whose time and side data are kept. It may be overwritten.
            pixels: new R'G'B' pixels `(H, W, 3)`; None keeps the pixels of the frame.
        """
        if isinstance(picture, Still):
            pixels = picture.srgb if pixels is None else pixels
            picture, self._blank = blank_frame(self._template, self._blank), self._blank + 1
        frame: av.VideoFrame = picture
        if pixels is None:
            return frame
        if pixels.dtype == np.uint8:
            pixels = pixels.astype(np.uint16) * 257
        frame = planar(frame)
        frame.make_writable()
        from_pixels(pixels, planes_of(frame), codes_of(frame))
        return frame

    def write(self, picture: av.VideoFrame) -> None:
        """Encode a frame.

        Raises:
            OSError: the disk is full.
        """
        picture.pict_type = 0  # the encoder, not the source, chooses the type
        self._mux(self._stream.encode(picture))
        self.count += 1

    def copy(self, packet: "av.Packet[Any]") -> None:
        """Write a packet of a copied stream, with its bytes and times.

        Raises:
            OSError: the disk is full.
        """
        packet.stream = self._copies[packet.stream.index]
        self._mux([packet])

    def finish(self) -> None:
        """Write the frames that the encoder holds back, and the end of the file.

        Raises:
            OSError: the disk is full.
        """
        packets = self._stream.encode(None)
        if self.count <= 2:  # x265 leaves the decoding times of so few frames unset; they are never reordered
            for packet in packets:
                packet.dts = packet.pts
        self._mux(packets)
        self._container.close()
        self._file.close()

    def finish_part(self, flush: bool) -> bool:
        """End a file whose writing has stopped.

        Args:
            flush: if True, write the frames that the encoder holds back.

        Returns:
            True if the file has frames and can be played.
        """
        try:
            if flush:
                self.finish()
            else:
                self._file.give_space()
                self._container.close()
        except OSError as error:
            logger.warning("%s: the part that was written can't be ended (%s)", self._target, error.strerror)
            return False
        finally:
            self._file.close()
        return self.count > 0

    def close(self) -> None:
        """Close the file without an end; the caller deletes it."""
        self._file.close()

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        try:
            for packet in packets:
                self._container.mux(packet)
        except av.ArgumentError as error:
            raise ClipError(f"{self._target}: the container can't hold the packets ({error.strerror})") from error
        self._file.reserve(len(packets))

    def _open(self) -> Any:
        try:
            options = {} if self._source is None else muxer_options(self._source, self._target.suffix)
            return av.open(self._file, "w", container_options=options, buffer_size=1 << 18)
        except ValueError as error:
            raise ClipError(f"{self._target}: no container of clips has the suffix {self._target.suffix}") from error

    def _add_streams(self, picture: av.VideoFrame, rate: Fraction, options: EncoderOptions) -> None:
        """Add the streams in the order of the source, the chapters and the metadata."""
        source = self._source
        if source is None:
            self._stream = self._add_video(picture, rate, options)
            return
        copy_file_tags(source, self._container)
        for stream in source.container.streams:
            if stream is source.stream:
                self._stream = self._add_video(picture, rate, options)
                copy_stream_tags(stream, self._stream)
            elif stream.type in ("audio", "subtitle"):
                self._copies[stream.index] = self._add_copy(stream)
            elif stream.type != "video" and stream.name != "bin_data" and "timecode" not in stream.metadata:
                # Not for QuickTime's tracks of chapters and of time code, which the container writes anew.
                logger.warning("%s: the %s stream %d is left out", source.path, stream.type, stream.index)

    def _add_video(self, picture: av.VideoFrame, rate: Fraction, options: EncoderOptions) -> av.VideoStream:
        codec = "h264" if self._source is None else self._source.stream.codec_context.codec.canonical_name
        encoder = pick_encoder(codec, options.codec)
        pixel_format = pick_format(encoder, picture)
        try:
            stream: av.VideoStream = self._container.add_stream(encoder.name, rate)
        except ValueError as error:
            raise self._cannot_hold(f"the codec of {encoder.name}") from error
        if self._source is not None:
            source, context = self._source.stream, stream.codec_context
            context.field_order = min(source.codec_context.field_order, _PROGRESSIVE)  # fields have become frames
            context.sample_aspect_ratio = source.sample_aspect_ratio or Fraction(0)
            if "crf" not in {option.name for option in context.supported_options.private}:
                context.bit_rate = source.codec_context.bit_rate or 0
            kinds, tag = self._source.container.format.name.split(","), source.codec_context.codec_tag
            if options.codec is None and self._container.format.name in kinds and tag.isprintable():
                context.codec_tag = tag  # hvc1, which Apple's players need, stays hvc1
        configure(stream, picture, pixel_format, options, rate)
        matrix = display_matrix(picture)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        return stream

    def _add_copy(self, stream: Any) -> Any:
        name = "an unknown codec" if stream.codec_context is None else stream.codec_context.name
        try:
            copied = self._container.add_stream_from_template(stream)
        except ValueError as error:
            raise self._cannot_hold(f"{stream.type} stream {stream.index} ({name})") from error
        copy_stream_tags(stream, copied)
        return copied

    def _cannot_hold(self, what: str) -> ClipError:
        kind = self._container.format.name
        return ClipError(f"{self._target}: a file of the kind {kind} can't hold {what}; write .mkv, or set --codec")
