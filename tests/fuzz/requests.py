"""Requests to the application of `lookcast web`, as bytes. Each input is a visit of its own.

An input is one request, or several with a line `====` between them. A request is a line with method and target, lines
with headers, an empty line, and the body. `{content}`, `{style}`, `{result}`, `{batch}` and `{done}` in a request stand
for ids of the visit: two photos with masks, a result, a batch that waits, and a batch that is done.
"""

import asyncio
import atexit
import functools
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import torch
from PIL import Image
from starlette.types import Message

import lookcast
from lookcast import examples
from lookcast.web.app import create_app
from lookcast.web.batches import Batch, NamedFile
from lookcast.web.options import Limits, WebOptions
from lookcast.web.results import WantedLook, predict
from lookcast.web.service import Service
from lookcast.web.visits import COOKIE, Visit, new_id
from tests.looks import save_universal
from tests.photo_files import DISPLAY_P3, exif

_BETWEEN = b"\n====\n"
_MOST = 4
"""Largest number of requests of an input."""
_METHOD, _HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}"), re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_LOOK = b'{"styles": [{"id": "{style}", "weight": 2}], '
_LIMITS = Limits(
    **{"upload_bytes": 1 << 16, "max_pixels": 200_000, "refine": 2, "requests_per_second": 1e9, "burst": 1 << 40},
    **{"photos": 5, "results": 3, "batch_photos": 3},
)


def seeds(folder: Path) -> list[bytes]:
    """Return requests for every address of the application, and some visits."""
    photo, mask = _photo("JPEG", exif=exif(6), icc_profile=DISPLAY_P3), _mask()
    style, content = sorted(examples.styles())[0].encode(), sorted(examples.contents())[0].encode()
    kind = b"\nContent-Type: application/json\n\n"
    upload = b"POST /api/photos?name=a%20b.jpg\n\n" + photo
    into = b"POST /api/batches/{batch}/photos?name=a.png\n\n" + _photo("PNG")
    crop = b"crop?x=2&y=3&w=5&h=4"
    found = [
        b"GET /\nCookie: a=b; lookcast_visit=none",
        b"GET /app.js\nHost: 127.0.0.1:8750\nIf-None-Match: x\nRange: bytes=0-9",
        b"HEAD /style/base.css\nOrigin: http://localhost\nSec-Fetch-Site: same-origin",
        b"GET /api/settings\nCookie: ",
        b"DELETE /api/visit",
        upload,
        b"POST /api/photos/example?name=" + style + b"&kind=styles",
        b"GET /api/examples/contents/" + content + b"?side=64",
        b"DELETE /api/photos/{content}",
        b"GET /api/photos/{content}/preview?side=20",
        b"GET /api/photos/{style}/" + crop,
        b"PUT /api/photos/{style}/mask\n\n" + mask,
        b"GET /api/photos/{content}/mask",
        b"DELETE /api/photos/{content}/mask",
        b"POST /api/masks/auto" + kind + b'{"content": "{content}", "styles": ["{style}"]}',
        b"POST /api/results" + kind + _LOOK + b'"content": "{content}", "refine": 1, "checkpoint": "tiny"}',
        b"POST /api/results" + kind + _LOOK + b'"content": "{content}", "use_masks": "auto"}',
        b"POST /api/results" + kind + _LOOK + b'"content": "{content}", "use_masks": true}',
        b"GET /api/results/{result}/lines?strength=0.5&format=png",
        b"GET /api/results/{result}/preview?side=32&strength=0.25",
        b"GET /api/results/{result}/" + crop + b"&strength=0.75",
        *(b"GET /api/results/{result}/download?strength=0.5&format=" + name for name in (b"jpeg", b"png", b"tiff")),
        b"GET /api/results/{result}/download?format=webp\nRange: bytes=3-",
        b"GET /api/results/{result}/lut?format=cube&strength=1",
        b"GET /api/results/{result}/lut?format=hald",
        b"POST /api/batches" + kind + _LOOK + b'"strength": 0.5}',
        b"GET /api/batches",
        into,
        b"GET /api/batches/{batch}",
        b"GET /api/batches/{done}/zip",
        b"DELETE /api/batches/{done}",
    ]
    start = b"POST /api/batches/{batch}/start"
    visits = [
        (into, start, b"DELETE /api/batches/{batch}"),
        (into, into, start, b"GET /api/batches/{batch}/zip"),
        (b"DELETE /api/photos/{content}", b"GET /api/results/{result}/preview", b"DELETE /api/visit"),
        (b"DELETE /api/visit", upload),
    ]
    return [*found, *map(_BETWEEN.join, visits)]


def read(data: bytes, folder: Path) -> str | None:
    """Send requests to the application. Return the line of the last error; None if the last answer is no error.

    Raises:
        AssertionError: an answer has the status 500 or more, is an error that is no JSON or has several lines, or
            tells a path of this machine; or the visit leaves a file.
    """
    return _server(os.getpid()).visit(data)  # a forked process needs threads of its own


@functools.cache
def _server(process: int) -> "_Server":
    return _Server()


class _Server:
    """The application, in an event loop that runs while requests are sent."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # The folders are deleted when the process ends.
        self._made = tempfile.TemporaryDirectory(prefix="lookcast-fuzz-")
        self._folder = Path(self._made.name)
        checkpoint = save_universal(self._folder / "tiny.safetensors")
        self._guard = create_app(WebOptions(checkpoints=(str(checkpoint),), device="cpu", workers=1, limits=_LIMITS))
        lifespan = self._guard._app.router.lifespan_context(self._guard._app)  # type: ignore[attr-defined]
        self._loop.run_until_complete(lifespan.__aenter__())
        # A process that forks during an import leaves a lock to its child that nobody releases.
        self._loop.run_until_complete(self._loaded())
        atexit.register(self._loop.run_until_complete, lifespan.__aexit__(None, None, None))
        self._service: Service = self._guard._app.state.service  # type: ignore[attr-defined]
        self._secrets = [
            str(path).encode()
            for path in (self._folder, self._service.visits.folder, Path(lookcast.__file__).parent, sys.prefix)
        ]
        (self._folder / "photo").write_bytes(_photo("PNG"))

    async def _loaded(self) -> None:
        await asyncio.wait([task for task in asyncio.all_tasks() if "_warm_up" in repr(task.get_coro())])

    def visit(self, data: bytes) -> str | None:
        return self._loop.run_until_complete(self._visit(data))

    async def _visit(self, data: bytes) -> str | None:
        visit, ids = self._start()
        line = None
        for request in data.split(_BETWEEN)[:_MOST]:
            for name, value in ids.items():
                request = request.replace(b"{%s}" % name.encode(), value.encode())
            line = await self._send(request, visit)
        for other in list(self._service.visits._visits.values()):
            await self._service.visits.end(other)
        await asyncio.gather(*self._service.tasks)
        left = [path for path in self._service.visits.folder.rglob("*") if path.is_file()]
        assert not left, f"files are left: {left}"
        assert not self._service.reader.cache.bytes, "pixels are left"
        return line

    def _start(self) -> tuple[Visit, dict[str, str]]:
        """Start a visit. Return it, and the ids of what it holds."""
        service = self._service
        visit, ids = service.visits.start(), {}
        for name in ("content", "style"):
            key, path = new_id(), visit.new_file()
            path.write_bytes((self._folder / "photo").read_bytes())
            visit.photos[key] = service.reader.add(key, f"{name}.png", path)
            visit.stored += path.stat().st_size
            ids[name] = key
        content, style = visit.photos.values()
        for photo in (content, style):
            photo.mask = torch.zeros(photo.height, photo.width, dtype=torch.uint8)
        look = WantedLook(((style, 1.0),), False, 0, service.looks.names[0])
        if not hasattr(self, "_result"):
            self._result = predict(service.reader, service.looks, content, look)
        result = self._result._replace(id=new_id(), content=content, look=look)
        visit.results[result.id] = result
        waiting, done = Batch(look, 1.0), Batch(look, 0.5)
        path = visit.new_file(".png")
        path.write_bytes(b"photo")
        visit.stored += 5
        done.written, done.state, done.total = [NamedFile("a.png", path)], "done", 1
        visit.batches |= {batch.id: batch for batch in (waiting, done)}
        return visit, ids | {"result": result.id, "batch": waiting.id, "done": done.id}

    async def _send(self, request: bytes, visit: Visit) -> str | None:
        """Send one request as a server would pass it on, and check the answer."""
        head, _, body = request.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        method, _, target = first.partition(b" ")
        if not _METHOD.fullmatch(method):
            return "no method"
        raw_path, _, query = quote(target, safe="/?%&=:@!$'()*+,;~[]").encode().partition(b"?")
        headers = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={visit.id}".encode())]
        for header in filter(None, map(_HEADER.fullmatch, lines)):
            name, value = header[1].lower(), re.sub(rb"[\0\r]", b"", header[2]).strip()
            headers = [kept for kept in headers if kept[0] != name or name not in (b"host", b"cookie")] + [
                (name, value)
            ]
        scope = {
            **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": ""},
            **{"method": method.decode(), "path": unquote(raw_path.decode()), "raw_path": raw_path},
            **{"query_string": query, "headers": headers, "client": ("127.0.0.1", 9), "server": ("127.0.0.1", 8750)},
        }
        # Two parts, and then either the end or, if more bytes were announced, a client that has left.
        announced = dict(headers).get(b"content-length", b"")
        more = announced.isdigit() and int(announced[:9]) > len(body)
        half = len(body) // 2
        incoming: list[Message] = [
            {"type": "http.request", "body": body[:half], "more_body": True},
            {"type": "http.request", "body": body[half:], "more_body": more},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            if not incoming and not more:
                await asyncio.sleep(60)  # the client waits for the answer
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._guard(scope, receive, send)
        return self._check(scope["path"], sent)

    def _check(self, path: str, sent: list[Message]) -> str | None:
        start, *parts = sent
        body = b"".join(part.get("body", b"") for part in parts)
        told = b"\n".join([body, *(value for _, value in start["headers"])])
        assert not [secret for secret in self._secrets if secret in told], told
        assert 200 <= start["status"] < 500, (start, body)
        if start["status"] < 400:
            return None
        assert (b"content-type", b"application/json") in start["headers"], (start, body)
        if not body:  # HEAD
            return "no body"
        line: str = json.loads(body)["error"]
        assert len(line.splitlines()) == 1, line
        return line


def _photo(kind: str, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _mask() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (24, 16), (0, 255, 0)).save(file, "PNG")
    return file.getvalue()
