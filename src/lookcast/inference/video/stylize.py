"""Stylizing of a clip from file to file."""

import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from fractions import Fraction
from typing import Any, NamedTuple

import av
import torch
from tqdm import tqdm

from lookcast.inference.jobs import Job, is_folder
from lookcast.inference.stylizer import Stylizer
from lookcast.inference.video.clip import ClipOptions, ClipReader
from lookcast.inference.video.clip_writer import ClipWriter, write_clip
from lookcast.inference.video.color import codes_of
from lookcast.inference.video.encoder import EncoderOptions
from lookcast.inference.video.frames import Frame, planar, planes_of
from lookcast.inference.video.jobs import is_pattern, writes_images
from lookcast.inference.video.look import ClipLook, held_grids, turn_grid
from lookcast.inference.video.pipeline import Grids, read_ahead, with_grids
from lookcast.inference.video.restyle import restyle
from lookcast.inference.video.sequence import DEFAULT_RATE, SequenceReader, SequenceWriter, write_sequence
from lookcast.ops.bilateral.dispatch import apply_grid_to_pixels
from lookcast.processes import usable_cores

Source = ClipReader | SequenceReader

STEADY = ("smooth", "shot", "off")
"""Ways to find the grids of a clip over time."""


class ClipSettings(NamedTuple):
    """Settings for stylizing clips.

    Attributes:
        strength: see `Stylizer.stylize`.
        steady: `smooth`: grids smoothed over time; `shot`: one grid for each shot; `off`: a grid for each frame alone.
        reading: options for reading.
        encoding: options for encoding.
        rate: frames per second of a sequence of images.
        quality: quality of the images of a sequence; see `write_photo`.
    """

    strength: float = 1.0
    steady: str = "smooth"
    reading: ClipOptions = ClipOptions()
    encoding: EncoderOptions = EncoderOptions()
    rate: Fraction = DEFAULT_RATE
    quality: int = 95


def stylize_clip(stylizer: Stylizer, job: Job, settings: ClipSettings = ClipSettings()) -> str | None:  # noqa: B008
    """Stylize a clip. Sound, subtitles, chapters, metadata and the times of the frames are kept.

    At strength 0, the frames are decoded and encoded without any other change. On a terminal, a progress bar is shown.

    Args:
        stylizer: the stylizer, with its style set.
        job: the paths. The mask is a mask of all frames, or a folder with one mask for each frame.
        settings: the settings.

    Returns:
        Description of the damage if the clip is damaged, otherwise None. The readable part is then written.

    Raises:
        ClipError: the clip can't be read, or the container of the output can't hold a stream.
        InputError: the output can't be written, or a setting or a mask is invalid.
        KeyboardInterrupt: Ctrl-C; the frames so far are kept, see `write_clip`.
    """
    look = ClipLook(stylizer, settings.strength, job.mask)
    with _few_threads(), _Interruption() as interruption, _open(look, job, settings) as source:
        grids = _grids(look, job, settings) if settings.strength > 0 else None
        output = _write(job, source, settings)
        bar = tqdm(total=source.total, unit="frame", disable=None, desc=job.source.name[:30])
        with output as writer, bar, closing(read_ahead(_render(source, writer, look, grids))) as items:
            for item in items:
                if interruption.requested:
                    raise KeyboardInterrupt
                if isinstance(item, av.Packet):
                    if isinstance(writer, ClipWriter):  # images have no sound
                        writer.copy(item)
                else:
                    writer.write(item)
                    bar.update()
        return source.damage


def _open(look: ClipLook, job: Job, settings: ClipSettings) -> Source:
    """Open a clip or a sequence of images for reading."""
    if is_pattern(job.source) or is_folder(job.source):
        return SequenceReader(job.source, look.side, settings.rate, settings.reading.max_pixels)
    return ClipReader(job.source, settings.reading, look.side)


def _write(job: Job, source: Source, settings: ClipSettings) -> AbstractContextManager[ClipWriter | SequenceWriter]:
    """Return the context of a writer for a clip or for a sequence of images."""
    if writes_images(job.target):
        return write_sequence(job.target, job.source, settings.quality)
    copied = source if isinstance(source, ClipReader) else None
    return write_clip(job.target, source.first, source.rate, copied, settings.encoding)


def _render(source: Source, writer: ClipWriter | SequenceWriter, look: ClipLook, grids: Grids | None) -> Generator[Any]:
    """Yield the frames to write and the packets to copy."""
    items = read_ahead(source.items())
    if grids is None:
        yield from (writer.paint(item.picture, None) if isinstance(item, Frame) else item for item in items)
        return
    for item, grid in read_ahead(with_grids(items, grids, look, source.size)):
        if grid is None:
            yield item
            continue
        grid = turn_grid(grid, source.turns)[0]
        if isinstance(writer, ClipWriter) and isinstance(item.picture, av.VideoFrame) and grid.device.type == "cpu":
            yield _restyled(item.picture, grid)
            continue
        pixels = torch.from_numpy(source.pixels(item.picture)).to(grid.device)
        yield writer.paint(item.picture, apply_grid_to_pixels(grid, pixels).cpu().numpy())


def _restyled(picture: av.VideoFrame, grid: torch.Tensor) -> av.VideoFrame:
    """Return a frame after its grid, in the memory of `picture` if possible."""
    frame = planar(picture)
    frame.make_writable()
    restyle(planes_of(frame), codes_of(frame), grid)
    return frame


def _grids(look: ClipLook, job: Job, settings: ClipSettings) -> Grids:
    """Return the function that finds the grids of the frames; for one grid a shot, read the clip a first time."""
    if settings.steady == "off":
        return lambda thumbnails: map(look, thumbnails)
    from lookcast.inference.video.steady import shot_grids, steady_grids

    if settings.steady == "smooth":
        return lambda thumbnails: steady_grids(thumbnails, look, "smooth")
    with _open(look, job, settings) as source:
        frames = (item for item in source.items() if isinstance(item, Frame))
        shots = shot_grids(_noted(frames, look, source.size), look)
    return lambda thumbnails: held_grids(shots, thumbnails)


def _noted(frames: Iterator[Frame], look: ClipLook, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """Yield the thumbnails of frames, which the look may need for their masks."""
    for frame in frames:
        look.note(frame, size)
        yield frame.thumbnail


@contextmanager
def _few_threads() -> Iterator[None]:
    """Let torch and the kernels use a quarter of the cores in a block, because the stages and the encoder overlap."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, usable_cores() // 4))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Interruption:
    """Ctrl-C as a request, so that no frame is lost between the encoder and the file; a second Ctrl-C acts at once.

    Attributes:
        requested: True after Ctrl-C.
    """

    requested = False

    def __enter__(self) -> "_Interruption":
        self._in_main = threading.current_thread() is threading.main_thread()  # only there can signals be handled
        if self._in_main:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_main:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
