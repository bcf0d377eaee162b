"""Writing of uploaded bytes to a file while they arrive."""

import asyncio
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect

from lookcast.web.refusals import Refusal
from lookcast.web.visits import Visit, Visits

_BLOCK = 1 << 20
_SECONDS = 60.0
"""Longest pause between two parts of an upload."""


async def receive_file(request: Request, visits: Visits, visit: Visit, suffix: str = "") -> Path:
    """Write the body of a request to a new file of a visit. `Guard` limits the size of the body.

    The caller owns the file, and its bytes count towards the visit until `forget_file`.

    Raises:
        Refusal: the body is empty, the visit has no room for it, or the client pauses for too long.
    """
    announced = request.headers.get("content-length", "0")
    visits.check_room(visit, int(announced) if announced.isdecimal() else 0)
    path = visit.new_file(suffix)
    written = 0
    try:
        with path.open("xb") as file:
            stream = request.stream()
            block = bytearray()
            while True:
                try:
                    part = await asyncio.wait_for(anext(stream, None), _SECONDS)
                except ClientDisconnect:
                    raise Refusal(499, "the client has left") from None
                except TimeoutError:
                    raise Refusal(408, f"upload: no data for {_SECONDS:g} seconds") from None
                block += part or b""
                if len(block) >= _BLOCK or (part is None and block):
                    visits.check_room(visit, len(block))
                    await asyncio.to_thread(file.write, bytes(block))
                    visit.stored += len(block)
                    written += len(block)
                    block.clear()
                if part is None:
                    break
        if not written:
            raise Refusal(400, "upload: expected the bytes of a file, got none")
    except BaseException:
        path.unlink(missing_ok=True)
        visit.stored -= written
        raise
    return path


def forget_file(visit: Visit, path: Path) -> None:
    """Delete a file of a visit."""
    visit.stored -= path.stat().st_size
    path.unlink()
