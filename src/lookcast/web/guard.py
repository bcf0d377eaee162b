"""What stands between the network and the page: checks of every request, and headers on every answer."""

import base64
import hashlib
import hmac
import ipaddress
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lookcast.web.options import WebOptions
from lookcast.web.refusals import Refusal

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SMALL_BODY = 64 << 10
_DIGITS = 18
"""Largest number of digits of a length. `int` refuses thousands of digits."""
_MAX_CLIENTS = 10_000
_FAILED_LOGIN = 10.0
"""Number of requests for which a wrong password counts, so that few passwords can be tried per second."""


class Guard:
    """An ASGI application that checks requests before another application sees them.

    Refused are: a host name that is not this server's (a web site could make its own name point to this machine), a
    request that another web site makes, a wrong password, too many requests from one client, and too large a body.

    Args:
        app: the application.
        options: the settings.
        is_visit: function that tells whether a cookie belongs to a visit.
        cookie: name of the cookie.
    """

    def __init__(self, app: ASGIApp, options: WebOptions, is_visit: Callable[[str], bool], cookie: str) -> None:
        self._app, self._options, self._is_visit, self._cookie = app, options, is_visit, cookie
        self._names = {"localhost", options.host.lower(), *(name.lower() for name in options.names)}
        self._login = None if options.auth is None else _digest(options.auth.encode())
        self._rates = _Rates(options.limits.requests_per_second, options.limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets
        send = _with_headers(send, scope["path"].startswith("/api/"))
        # Answers are sent whole: a part of a file would take as much time to make, and errors in `Range` are no JSON.
        scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"range"]}
        try:
            self._check(scope)
            receive = self._limited(scope, receive)
        except Refusal as refusal:
            await _answer(send, refusal)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            raise Refusal(403, f"host: {host[:80]!r} is not a name of this server; --allow-host allows it")
        self._check_site(scope, headers, host)
        client = self._client(scope, headers)
        if not self._rates.take(client):
            raise Refusal(429, "too many requests; try again in a moment", {"Retry-After": "1"})
        if self._login is not None and not self._may_enter(headers.get("authorization", "")):
            self._rates.take(client, _FAILED_LOGIN)
            raise Refusal(401, "a user name and a password are needed", {"WWW-Authenticate": 'Basic realm="lookcast"'})

    def _is_own(self, host: str) -> bool:
        """Return whether a host is this server. A numeric address always is: only a name can be made to point here."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:  # a bracket without its partner
            return False
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True

    def _check_site(self, scope: Scope, headers: Headers, host: str) -> None:
        """Refuse requests that another web site makes: browsers name the site in `Origin` or `Sec-Fetch-Site`."""
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
        # A link from another site may open the page itself.
        site = headers.get("sec-fetch-site", "none")
        if foreign or (site not in ("same-origin", "none") and scope["path"].startswith("/api/")):
            raise Refusal(403, "another web site made this request")

    def _client(self, scope: Scope, headers: Headers) -> str:
        """Return the key by which the requests of a client are counted: its visit, else its address."""
        cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
        visit = cookies.get(self._cookie, "")
        if visit and self._is_visit(visit):
            return f"visit {visit}"
        return f"address {scope['client'][0] if scope.get('client') else ''}"

    def _may_enter(self, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        try:
            login = base64.b64decode(value, validate=True) if scheme.lower() == "basic" else b""
        except ValueError:
            login = b""
        assert self._login is not None
        return hmac.compare_digest(_digest(login), self._login)  # takes equally long for every wrong password

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Return `receive` with a limit of the body. A file may be as large as an upload, other bodies are small."""
        path, method = scope["path"], scope["method"]
        is_file = (method == "POST" and path.endswith("/photos")) or (method == "PUT" and path.endswith("/mask"))
        limit = self._options.limits.upload_bytes if is_file else _SMALL_BODY
        refusal = Refusal(413, f"request: the body has more than the limit of {limit} bytes")
        if is_file:
            refusal = Refusal(413, f"upload: more than the limit of {limit} bytes; --max-upload changes the limit")
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal():
            raise Refusal(400, f"content-length: expected a number of bytes, got {length[:80]!r}")
        if len(length) > _DIGITS or int(length) > limit:
            raise refusal
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise refusal
            return message

        return counted


class _Rates:
    """A bucket of requests for each client. It fills with time, and each request takes one.

    Args:
        rate: requests per second.
        burst: size of a bucket.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, count: float = 1.0) -> bool:
        """Take `count` from a client's bucket. Return False if the bucket was empty."""
        now = time.monotonic()
        level, before = self._buckets.pop(client, (self._burst, now))
        level = min(self._burst, level + (now - before) * self._rate)
        self._buckets[client] = (level - count if level > 0 else level), now
        while len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return level > 0


def _digest(login: bytes) -> bytes:
    return hashlib.sha256(login).digest()


def _with_headers(send: Send, is_api: bool) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if "accept-ranges" in headers:
                headers["accept-ranges"] = "none"
            headers.setdefault("cache-control", "no-store" if is_api else "no-cache")
        await send(message)

    return send_more


async def _answer(send: Send, refusal: Refusal) -> None:
    body = json.dumps({"error": refusal.detail}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **(refusal.headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status_code, "headers": raw})
    await send({"type": "http.response.body", "body": body})
