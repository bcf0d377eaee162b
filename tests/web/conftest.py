import io

import numpy as np
import pytest
import skimage.data
from PIL import Image
from starlette.testclient import TestClient

from lookcast.web.app import create_app
from lookcast.web.options import Limits, WebOptions
from tests.looks import save_universal

BASE = "http://localhost"


class Browser:
    """A visitor: a client with its own cookie."""

    def __init__(self, client):
        self.client = client
        self.get, self.post, self.put, self.delete = client.get, client.post, client.put, client.delete

    def upload(self, data, name="photo.jpg"):
        answer = self.post("/api/photos", params={"name": name}, content=data)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def stylize(self, content, *styles, **options):
        styles = [style if isinstance(style, dict) else {"id": style} for style in styles]
        answer = self.post("/api/results", json={"content": content, "styles": styles, **options})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return save_universal(tmp_path_factory.mktemp("looks") / "tiny.safetensors")


@pytest.fixture
def serve(checkpoint, tmp_path, monkeypatch):
    """Return a function that starts a server in this process. It stops at the end of the test."""
    stack = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def start(auth=None, names=(), checkpoints=None, **limits):
        paths = (str(checkpoint),) if checkpoints is None else tuple(map(str, checkpoints))
        limits = {"requests_per_second": 1000, "burst": 1000} | limits
        options = WebOptions(checkpoints=paths, auth=auth, names=tuple(names), limits=Limits(**limits))
        # `raise_server_exceptions` would hide the answer to an unexpected error.
        client = TestClient(create_app(options), base_url=BASE, raise_server_exceptions=False)
        client.__enter__()
        stack.append(client)
        return client

    yield start
    for client in stack:
        client.__exit__(None, None, None)


@pytest.fixture
def browser(serve):
    return Browser(serve())


@pytest.fixture
def two(serve):
    """Return two visitors of one server."""
    client = serve()
    other = TestClient(client.app, base_url=BASE, raise_server_exceptions=False)
    other.portal = client.portal  # both run in the event loop of the server
    return Browser(client), Browser(other)


def encoded(name="chelsea", kind="JPEG", box=None, **options):
    """Return the bytes of a photo of scikit-image, 96 x 64 pixels by default."""
    pixels = getattr(skimage.data, name)()
    pixels = pixels[60:124, 100:196] if box is None else pixels[box]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def opened(answer):
    """Return the pixels of an answer."""
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))
