"""The page in Chromium, with its server in this process.

A visitor may reach the server only: every other request is aborted, and the test fails.
"""

import threading
from urllib.parse import urlsplit

import pytest
import skimage.data
import uvicorn
from PIL import Image
from playwright.sync_api import Page, expect

from lookcast.web.app import create_app
from lookcast.web.options import Limits, WebOptions
from tests.browser import PATIENCE
from tests.looks import save_look
from tests.photo_files import exif


def serve(options):
    """Serve the page in a thread. Yield its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(options), port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)  # if it does not end, Python still can
    thread.start()
    try:
        while not server.started:
            thread.join(0.05)
            assert thread.is_alive(), "the server does not start"
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)
        state = server.server_state
        assert not thread.is_alive(), f"the server does not end: {state.connections}, {state.tasks}"


@pytest.fixture(scope="session")
def address():
    yield from serve(WebOptions(device="cpu"))


@pytest.fixture(scope="session")
def strict_address(tmp_path_factory):
    """A server that takes only small photos, and whose first checkpoint has a single look."""
    own = save_look(tmp_path_factory.mktemp("looks") / "own.safetensors")
    limits = Limits(upload_bytes=200_000, max_pixels=100_000)
    yield from serve(WebOptions(device="cpu", checkpoints=(str(own),), limits=limits))


@pytest.fixture
def visit(chromium, address):
    """Open the page as a new visitor: `visit(width=..., height=..., color_scheme=...)` returns the page."""
    contexts, outside, faults = [], [], []

    def refuse(route):
        outside.append(route.request.url)
        route.abort()

    def elsewhere(url):
        return urlsplit(url).scheme != "blob" and urlsplit(url).hostname != "127.0.0.1"

    def open_page(width=1280, height=800, at=address, **options) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.route(elsewhere, refuse)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(at)
        expect(page.locator("#looks .thumb").first).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert outside == []
    assert faults == []


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Photos of a visitor: a JPEG with EXIF, a 16-bit PNG of unusual proportions, a large JPEG and a style."""
    folder = tmp_path_factory.mktemp("photos")
    coffee = Image.fromarray(skimage.data.coffee())
    coffee.save(folder / "coffee.jpg", quality=92, exif=exif())
    coffee.resize((2000, 1334)).save(folder / "large.png")
    Image.fromarray(skimage.data.rocket()).save(folder / "rocket.jpg", quality=90)
    Image.fromarray(skimage.data.chelsea()).save(folder / "chelsea.png")
    return folder
