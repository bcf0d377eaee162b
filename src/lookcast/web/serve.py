"""Listening for requests with uvicorn."""

import ctypes
import logging
import platform
import socket
from collections.abc import Callable
from ipaddress import ip_address

import uvicorn

from lookcast.checks import InputError
from lookcast.web.app import create_app
from lookcast.web.options import WebOptions

logger = logging.getLogger("lookcast.web")

_MAX_CONNECTIONS = 500
_SECONDS_TO_FINISH = 5
_SECONDS_TO_KEEP = 30
"""Seconds for which an idle connection is kept. Python's clients keep theirs for 5 s, which is uvicorn's default: a
request that is sent while the server closes the connection fails."""
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_LARGE = 1 << 20


def serve(options: WebOptions, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until the process is interrupted.

    Args:
        options: the settings.
        port: port to listen on; 0 chooses a free one.
        say: function that prints the page's address.

    Raises:
        InputError: a setting is invalid, or the address can't be used.
    """
    give_back_large_arrays()
    app = create_app(options)
    with _listen(options.host, port) as listener:
        chosen = listener.getsockname()[1]
        name = f"[{options.host}]" if ":" in options.host else options.host
        if not is_loopback(options.host) and options.auth is None:
            logger.warning("whoever reaches %s can use the page; --auth asks for a password", options.host)
        say(f"http://{name}:{chosen}/")
        config = uvicorn.Config(
            app,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # a client could forge its address
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_SECONDS_TO_FINISH,
            timeout_keep_alive=_SECONDS_TO_KEEP,
        )
        uvicorn.Server(config).run(sockets=[listener])


def give_back_large_arrays() -> None:
    """Let this process return arrays of 1 MB and more to the system as soon as they are freed.

    By default, glibc raises this size to 32 MB once larger arrays have been freed. Smaller ones then come from heaps of
    the threads, and a heap can't shrink below its last array that is in use. With 20 visitors, such gaps grew to 1.1 GB
    in three minutes. The allocators of other systems return large arrays by default.
    """
    if platform.libc_ver()[0] == "glibc" and not ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE):
        raise OSError("mallopt: M_MMAP_THRESHOLD can't be set")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"--host {host} --port {port}: can't be used ({error.strerror or error})") from error
    return listener


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
