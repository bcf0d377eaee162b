"""Visits: what one browser has uploaded and made. A visit ends after a while without requests, and is then deleted."""

import asyncio
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lookcast.web.options import Limits
from lookcast.web.refusals import Refusal

if TYPE_CHECKING:
    from lookcast.web.batches import Batch
    from lookcast.web.photos import StoredPhoto
    from lookcast.web.results import Result

COOKIE = "lookcast_visit"


def new_id() -> str:
    """Return an id that nobody can guess: 128 random bits."""
    return secrets.token_urlsafe(16)


class Visit:
    """The photos, results and batches of one browser.

    Attributes:
        id: value of the browser's cookie.
        folder: folder of the visit's files. It is made at the first upload.
        photos: the photos by their ids, oldest first; likewise `results` and `batches`.
        stored: bytes of the visit's files.
        users: number of requests and batches that use the visit now. The visit is not deleted before they end.
        last_used: time of the last request, in seconds of `time.monotonic`.
    """

    def __init__(self, folder: Path) -> None:
        self.id = new_id()
        self.folder = folder / new_id()
        self.photos: dict[str, StoredPhoto] = {}
        self.results: dict[str, Result] = {}
        self.batches: dict[str, Batch] = {}
        self.stored = 0
        self.users = 0
        self.last_used = time.monotonic()

    def new_file(self, suffix: str = "") -> Path:
        """Return a path for a new file in the visit's folder. No part of the name comes from the visitor."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder / f"{new_id()}{suffix}"

    def is_empty(self) -> bool:
        """Return whether the visit holds nothing."""
        return not (self.photos or self.results or self.batches)


class Visits:
    """All visits of a server. The methods run in the event loop, so they need no locks.

    Args:
        folder: folder of the visits' folders.
        limits: the limits.
        forget: function that is called with each photo of a visit that ends.
    """

    def __init__(self, folder: Path, limits: Limits, forget: "Callable[[StoredPhoto], None]") -> None:
        self.folder, self.limits, self._forget = folder, limits, forget
        self._visits: dict[str, Visit] = {}

    def find(self, cookie: str | None) -> Visit | None:
        """Return the visit with this cookie, or None."""
        visit = None if cookie is None else self._visits.get(cookie)
        if visit is not None:
            visit.last_used = time.monotonic()
        return visit

    def start(self) -> Visit:
        """Start a visit. If there are too many, the oldest empty visit ends.

        Raises:
            Refusal: no visit is empty.
        """
        if len(self._visits) >= self.limits.visits:
            empty = [visit for visit in self._visits.values() if visit.is_empty() and not visit.users]
            if not empty:
                raise Refusal(429, "too many visitors at a time; try again later", {"Retry-After": "60"})
            del self._visits[min(empty, key=lambda visit: visit.last_used).id]
        visit = Visit(self.folder)
        self._visits[visit.id] = visit
        return visit

    def check_room(self, visit: Visit, size: int) -> None:
        """Refuse a file for which a visit has no room.

        Raises:
            Refusal: the files of this visit, or of all visits, would take more bytes than the limit.
        """
        stored = sum(other.stored for other in self._visits.values())
        if visit.stored + size > self.limits.visit_bytes:
            raise Refusal(413, f"this visit holds {visit.stored} bytes of at most {self.limits.visit_bytes}")
        if stored + size > self.limits.total_bytes:
            raise Refusal(413, "the server has no room for more photos; try again later")

    async def end(self, visit: Visit) -> None:
        """Forget a visit and delete its files, after the requests that use it have ended."""
        self._visits.pop(visit.id, None)
        for batch in visit.batches.values():
            batch.stop()
        while visit.users:
            await asyncio.sleep(0.05)
        for photo in visit.photos.values():
            self._forget(photo)
        await asyncio.to_thread(shutil.rmtree, visit.folder, ignore_errors=True)

    async def end_idle(self) -> None:
        """End the visits without a request for `visit_seconds`."""
        before = time.monotonic() - self.limits.visit_seconds
        for visit in [visit for visit in self._visits.values() if visit.last_used < before and not visit.users]:
            await self.end(visit)
