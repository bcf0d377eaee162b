"""The application: the page, its addresses and what runs beside them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from lookcast.checks import InputError
from lookcast.web import batch_routes, mask_routes, photo_routes, result_routes
from lookcast.web.guard import Guard
from lookcast.web.looks import Looks
from lookcast.web.options import WebOptions
from lookcast.web.refusals import refuse_in_json
from lookcast.web.service import Service
from lookcast.web.temporary import temporary_folder
from lookcast.web.visits import COOKIE

PAGE = Path(__file__).parent / "page"
_SWEEP_SECONDS = 30.0

logger = logging.getLogger("lookcast.web")


def create_app(options: WebOptions | None = None) -> ASGIApp:
    """Return the ASGI application of `lookcast web`.

    Args:
        options: the settings; None uses the defaults.

    Raises:
        InputError: a checkpoint can't be read, or a setting is invalid.
    """
    options = WebOptions() if options is None else options
    if options.auth is not None and not all(options.auth.partition(":")[::2]):
        raise InputError("auth: expected USER:PASSWORD, got a text without one of them")  # the text may be a password
    looks = Looks(options.checkpoints, options.device)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with temporary_folder() as folder:
            service = app.state.service = Service(options, looks, folder)
            tasks = [asyncio.create_task(_warm_up(service)), asyncio.create_task(_end_idle_visits(service))]
            try:
                yield
            finally:
                for task in [*tasks, *service.tasks]:
                    task.cancel()
                service.workers.close()

    # The pages of FastAPI about an API load scripts from elsewhere, so they are left out.
    app = FastAPI(title="lookcast", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    refuse_in_json(app)
    for routes in (photo_routes, mask_routes, result_routes, batch_routes):
        app.include_router(routes.router)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return Guard(app, options, lambda cookie: app.state.service.visits.find(cookie) is not None, COOKIE)


async def _warm_up(service: Service) -> None:
    try:
        await service.workers.run(None, service.looks.warm_up)
    except Exception:  # each request for a result gets the same error as its answer
        logger.exception("the checkpoint %s can't be used", service.looks.names[0])


async def _end_idle_visits(service: Service) -> None:
    while True:
        await asyncio.sleep(min(_SWEEP_SECONDS, service.limits.visit_seconds))
        await service.visits.end_idle()
