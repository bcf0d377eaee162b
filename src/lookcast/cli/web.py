"""The command `lookcast web`."""

import argparse
import os

from lookcast.cli.options import count, word
from lookcast.cli.streams import say, set_up_logging

_AUTH = "LOOKCAST_AUTH"


def web(argv: list[str]) -> int:
    """Run `lookcast web`."""
    args = build_parser().parse_args(argv)
    # Several computations share the cores. By default, a thread of one of them would keep a core busy while it waits
    # for another thread that gets no core: colour tables took five times as long. OpenMP reads this when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from lookcast.checks import InputError

    try:
        from lookcast.web.serve import serve
    except ModuleNotFoundError as error:
        raise InputError(f"lookcast web needs the package {error.name}: pip install 'lookcast[web]'") from error
    from lookcast.web.options import Limits, WebOptions

    set_up_logging()
    limits = Limits(
        upload_bytes=args.max_upload << 20, max_pixels=args.max_pixels, visit_seconds=60.0 * args.visit_minutes
    )
    auth = os.environ.get(_AUTH) if args.auth is None else args.auth
    options = WebOptions(
        args.host, tuple(args.checkpoint), args.device, auth, tuple(args.allow_host), args.workers, limits
    )
    serve(options, args.port, say)
    return 0


def _port(text: str) -> int:
    """Convert an argument to a port; 0 chooses a free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 65535, got {text!r}")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `lookcast web`."""
    parser = argparse.ArgumentParser(
        prog="lookcast web",
        description="Serve a page to play with looks in the browser. It is for this machine only, unless --host says "
        "otherwise. Photos are kept in a temporary folder, and are deleted when their visit ends.",
    )
    parser.add_argument("--host", default="127.0.0.1", type=word, help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", default=8750, type=_port, help="port; 0 chooses a free one (default: 8750)")
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        type=word,
        metavar="FILE",
        help="further checkpoint to choose from; may be repeated, and the first one is the default",
    )
    parser.add_argument("--device", default="auto", type=word, help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument(
        "--auth",
        type=word,
        metavar="USER:PASSWORD",
        help=f"ask visitors for a password; the variable {_AUTH} does the same and is not seen in lists of processes",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=word,
        metavar="NAME",
        help="host name under which the page is reached, such as that of a proxy; may be repeated",
    )
    parser.add_argument("--max-upload", type=count, default=256, metavar="MB", help="largest file (default: 256)")
    parser.add_argument(
        "--max-pixels", type=count, default=100_000_000, metavar="N", help="largest photo (default: 100000000)"
    )
    parser.add_argument(
        "--visit-minutes", type=count, default=60, metavar="N", help="end an idle visit after N minutes (default: 60)"
    )
    parser.add_argument("--workers", type=count, metavar="N", help="computations at a time (default: cores, at most 4)")
    return parser
