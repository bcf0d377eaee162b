"""Batches: many photos that get the same look, one after another, while the visitor may leave the page."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from lookcast.checks import InputError
from lookcast.inference.jobs import Job
from lookcast.inference.photo_files import FileOptions, stylize_file
from lookcast.segmenters.auto_masks import AutoMasks
from lookcast.web.photos import naming
from lookcast.web.results import WantedLook, style_inputs, with_styles
from lookcast.web.service import Service
from lookcast.web.uploads import forget_file
from lookcast.web.visits import Visit, new_id

_BLOCK = 1 << 20
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of the format; the visitor's dates are not known

logger = logging.getLogger("lookcast.web")


class NamedFile(NamedTuple):
    """A file of a batch: its name on the visitor's machine, and its path on the server."""

    name: str
    path: Path


class Batch:
    """Photos that get the same look.

    Args:
        look: the look.
        strength: see `Stylizer.stylize`.

    Attributes:
        id: the batch's id.
        state: `waiting` until the visitor starts the batch, then `running`, then `done`.
        photos: the uploaded photos that are not processed yet.
        written: the stylized photos.
        failed: the names of the photos that failed, with the errors.
        total: number of photos.
    """

    def __init__(self, look: WantedLook, strength: float) -> None:
        self.id = new_id()
        self.look, self.strength = look, strength
        self.state = "waiting"
        self.photos: list[NamedFile] = []
        self.written: list[NamedFile] = []
        self.failed: list[tuple[str, str]] = []
        self.total = 0
        self._stopped = False
        self._started = 0.0

    def describe(self) -> dict[str, Any]:
        """Return the answer of `GET batches/ID`."""
        done = len(self.written) + len(self.failed)
        left = None
        if self.state == "running" and done:
            left = (time.monotonic() - self._started) / done * (self.total - done)
        failed = [{"name": name, "error": error} for name, error in self.failed]
        return {
            **{"id": self.id, "state": self.state, "done": done, "total": self.total},
            **{"failed": failed, "seconds_left": left},
        }

    def stop(self) -> None:
        """Let the batch end after the photo that is processed now."""
        self._stopped = True

    async def run(self, service: Service, visit: Visit) -> None:
        """Stylize all photos. A photo that fails is listed, and the next one follows."""
        visit.users += 1
        self.state, self._started = "running", time.monotonic()
        try:
            while self.photos and not self._stopped:
                photo = self.photos[0]
                target = NamedFile(photo.name, visit.new_file(Path(photo.name).suffix.lower()))
                try:
                    await service.workers.run_long(None, self._stylize, service, photo, target)
                    visit.stored += target.path.stat().st_size
                    self.written.append(target)
                except InputError as error:
                    self.failed.append((photo.name, " ".join(str(error).split())))
                except Exception:  # the batch goes on; the log has the traceback
                    logger.exception("a photo of a batch failed")
                    self.failed.append((photo.name, "the server failed; its log has the reason"))
                forget_file(visit, self.photos.pop(0).path)
        finally:
            self.state = "done"
            visit.last_used = time.monotonic()
            visit.users -= 1

    def _stylize(self, service: Service, photo: NamedFile, target: NamedFile) -> None:
        """Stylize a photo as `lookcast stylize FOLDER` does. The pixels of the styles are read for each photo.

        So a batch that waits holds no pixels in memory.
        """
        files = FileOptions(max_pixels=service.limits.max_pixels)
        stylizer = with_styles(service.reader, service.looks, self.look)
        masks = None
        if self.look.use_masks:
            masks = AutoMasks(service.looks.open_segmenter(), style_inputs(service.reader, self.look))
        with naming(photo.path, photo.name), naming(target.path, target.name):
            stylize_file(stylizer, Job(photo.path, target.path), self.strength, masks, files, self.look.refine)


def zipped(files: list[NamedFile]) -> Iterator[bytes]:
    """Yield the bytes of a zip file with the given files, without compression: photos are compressed already."""
    pieces = _Pieces()
    with ZipFile(pieces, "w", ZIP_STORED) as archive:
        for name, path in files:
            entry = ZipInfo(name, _FIRST_DATE)
            with archive.open(entry, "w", force_zip64=True) as written, path.open("rb") as file:
                while block := file.read(_BLOCK):
                    written.write(block)
                    yield pieces.take()
            yield pieces.take()
    yield pieces.take()


class _Pieces:
    """A file that can only be written, and that keeps its bytes until they are taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: the bytes go nowhere before they are taken."""

    def close(self) -> None:
        """Do nothing; see `flush`."""

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def distinct_name(name: str, taken: set[str]) -> str:
    """Return a name that is not taken: `a.jpg`, then `a_2.jpg`, and so on. Capitals make no difference."""
    stem, suffix = Path(name).stem, Path(name).suffix
    number, chosen = 1, name
    while chosen.lower() in taken:
        number += 1
        chosen = f"{stem}_{number}{suffix}"
    return chosen
