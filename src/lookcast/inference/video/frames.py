"""Decoded frames: their planes, their orientation, and whole frames from interlaced fields."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.filter
import numpy as np
import torch
from av.sidedata.sidedata import Type as SideDataType

from lookcast.checks import InputError
from lookcast.inference.video.planes import Plane

_INTERLEAVED = ("nv12", "nv21", "nv16", "nv24", "p010le", "p012le", "p016le", "p210le", "p216le")
"""Formats that FFmpeg counts as planar, though one plane holds both kinds of chroma."""

logger = logging.getLogger(__name__)


class ClipError(InputError):
    """Error for a clip that can't be read or written. The message is one line that names the file."""


class Frame(NamedTuple):
    """A frame of a clip or of a sequence of images.

    Attributes:
        picture: the decoded frame, as the source of the frame holds it.
        thumbnail: upright square thumbnail `(1, 3, side, side)` in [0, 1].
        number: index of the frame, from 0.
    """

    picture: Any
    thumbnail: torch.Tensor
    number: int


class Deinterlacer:
    """FFmpeg's filter `bwdif`, which makes one whole frame of the two fields of each interlaced frame."""

    def __init__(self, stream: av.VideoStream) -> None:
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(template=stream)
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        source.link_to(bwdif)
        bwdif.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def __call__(self, picture: av.VideoFrame | None) -> Iterator[Any]:
        """Yield the frames that are finished after the next frame; None stands for the end."""
        self._graph.push(picture)
        while True:
            try:
                yield self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def planar(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a frame with one plane for each component; the frame itself if it has this form.

    FFmpeg's converter only moves the values of other forms, and gives grey frames neutral chroma.
    """
    name, components = picture.format.name, picture.format.components
    if (
        picture.format.is_planar
        and not picture.format.is_big_endian
        and len(components) >= 3
        and name not in _INTERLEAVED
    ):
        return picture
    depth = max(component.bits for component in components)
    if picture.format.is_rgb or picture.format.has_palette:
        alpha, deep = len(components) == 4, "" if depth <= 8 else "16le"
        return picture.reformat(format=f"gbr{'a' if alpha else ''}p{deep}")
    chroma = "420" if len(components) < 3 or picture.format.chroma_height(2) == 1 else "422"
    deep = {8: "", 10: "10le", 12: "12le"}.get(depth, "16le")
    return picture.reformat(format=f"yuv{chroma}p{deep}")


def planes_of(picture: av.VideoFrame) -> list[Plane]:
    """Return the three colour planes of a frame as arrays that share the memory of the frame."""
    kind = np.dtype(np.uint8 if max(c.bits for c in picture.format.components) <= 8 else np.uint16)
    planes = []
    for plane in picture.planes[:3]:
        rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
        rows = rows[:, : plane.width]
        planes.append(rows[::-1] if plane.line_size < 0 else rows)
    return planes


def quarter_turns(picture: av.VideoFrame, path: Path) -> int:
    """Return the quarter turns counter-clockwise that bring a frame upright, from its display matrix."""
    if picture.rotation % 90:
        logger.warning("%s: is turned by %d degrees; the network sees it as stored", path, picture.rotation)
        return 0
    return picture.rotation // 90 % 4


def display_matrix(picture: av.VideoFrame) -> list[int] | None:
    """Return the nine numbers of the display matrix of a frame, which rotates and mirrors it for the viewer."""
    entries: Iterable[Any] = picture.side_data
    data = next((entry for entry in entries if entry.type == SideDataType.DISPLAYMATRIX), None)
    return None if data is None else np.frombuffer(data, np.int32).tolist()
