"""The parts of a running server, and the visit of a request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from lookcast.web.looks import Looks
from lookcast.web.options import WebOptions
from lookcast.web.photos import PhotoReader, StoredPhoto
from lookcast.web.refusals import Refusal, not_found
from lookcast.web.uploads import forget_file
from lookcast.web.visits import COOKIE, Visit, Visits
from lookcast.web.workers import Workers


class Service:
    """The parts of a running server.

    Args:
        options: the settings.
        looks: the checkpoints.
        folder: folder of the files of all visits.

    Attributes:
        options: the settings.
        looks: the checkpoints.
        visits: the visits.
        workers: the threads.
        reader: reads photos, through a cache.
        tasks: tasks in the background, such as batches.
    """

    def __init__(self, options: WebOptions, looks: Looks, folder: Path) -> None:
        self.options, self.looks = options, looks
        self.limits = options.limits
        self.workers = Workers(options.workers, options.limits.waiting)
        self.reader = PhotoReader(options.limits)
        self.visits = Visits(folder, options.limits, lambda photo: self.reader.cache.drop(photo.id))
        self.tasks: set[asyncio.Task[None]] = set()

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine beside the requests, until the server ends."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def service_of(request: Request) -> Service:
    """Return the service of a request."""
    service: Service = request.app.state.service
    return service


ServiceArgument = Annotated[Service, Depends(service_of)]


async def _own_visit(request: Request, service: ServiceArgument) -> AsyncIterator[Visit]:
    visit = service.visits.find(request.cookies.get(COOKIE))
    if visit is None:
        raise Refusal(404, "this browser has no visit, or its visit has ended; load the page again")
    visit.users += 1
    try:
        yield visit
    finally:
        for path in getattr(request.state, "scratch", ()):
            if path.exists():  # it was written
                forget_file(visit, path)
        visit.users -= 1


async def scratch_file(
    request: Request, service: Service, visit: Visit, suffix: str, write: Callable[[Path], None], long: bool = False
) -> Path:
    """Write a file that is deleted after the answer is sent, or after the client has left.

    Until then, its bytes count towards the visit.

    Args:
        request: the request.
        service: the service.
        visit: the visit of the request.
        suffix: suffix of the file's name.
        write: function that writes the file. It runs in a thread.
        long: whether it takes seconds; see `Workers.run_long`.
    """
    service.visits.check_room(visit, 0)
    path = visit.new_file(suffix)
    request.state.scratch = [*getattr(request.state, "scratch", ()), path]
    await (service.workers.run_long if long else service.workers.run)(request, write, path)
    visit.stored += path.stat().st_size
    return path


async def _visit_or_new(request: Request, response: Response, service: ServiceArgument) -> AsyncIterator[Visit]:
    visit = service.visits.find(request.cookies.get(COOKIE)) or service.visits.start()
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, visit.id, path="/", httponly=True, samesite="strict", secure=secure)
    visit.users += 1
    try:
        yield visit
    finally:
        visit.users -= 1


OwnVisit = Annotated[Visit, Depends(_own_visit)]
"""The visit of a request, from its cookie. Without a visit, the request is refused."""
VisitOrNew = Annotated[Visit, Depends(_visit_or_new)]
"""The visit of a request. Without one, a visit starts."""


def photo_of(visit: Visit, key: str) -> StoredPhoto:
    """Return a photo of a visit.

    Raises:
        Refusal: the visit has no such photo.
    """
    if key not in visit.photos:
        raise not_found("photo")
    return visit.photos[key]
