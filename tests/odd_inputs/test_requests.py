import pytest
from starlette.testclient import TestClient

from lookcast.web.app import create_app
from lookcast.web.options import Limits, WebOptions
from lookcast.web.visits import COOKIE
from tests.looks import save_universal
from tests.odd_inputs.requests import ADDRESSES, BODIES, HEADERS
from tests.web.conftest import BASE, Browser, encoded


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return a client and the ids by the names that stand for them; its server runs in this process."""
    folder = tmp_path_factory.mktemp("web")
    limits = Limits(requests_per_second=1e9, burst=1 << 40, max_pixels=200_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        app = create_app(WebOptions(checkpoints=(str(save_universal(folder / "tiny.safetensors")),), limits=limits))
        with TestClient(app, base_url=BASE, raise_server_exceptions=False, follow_redirects=False) as client:
            foreign = visit(Browser(client))
            client.cookies.clear()
            ids = visit(Browser(client)) | {"visit": client.cookies[COOKIE], "foreign": foreign["content"]}
            ids |= {f"foreign_{name}": foreign[name] for name in ("result", "batch")}
            yield client, ids, folder


def visit(browser):
    """Upload photos, make a result and two batches. Return the ids."""
    ids = {"content": browser.upload(encoded()), "style": browser.upload(encoded("coffee"))}
    ids["result"] = browser.stylize(ids["content"], ids["style"])["id"]
    for name in ("batch", "failed"):
        ids[name] = browser.post("/api/batches", json={"styles": [{"id": ids["style"]}]}).json()["id"]
    browser.post(f"/api/batches/{ids['failed']}/photos", params={"name": "a.jpg"}, content=b"no photo")
    browser.post(f"/api/batches/{ids['failed']}/start")
    while browser.get(f"/api/batches/{ids['failed']}").json()["state"] != "done":
        pass
    return ids


def filled(value, ids):
    """Return a part of a request with ids in place of their names."""
    if isinstance(value, str | bytes):
        for name, key in ids.items():
            old, new = f"{{{name}}}", key
            value = value.replace(old.encode(), new.encode()) if isinstance(value, bytes) else value.replace(old, new)
    elif isinstance(value, dict):
        return {name: filled(part, ids) for name, part in value.items()}
    elif isinstance(value, list):
        return [filled(part, ids) for part in value]
    return value


def short(value):
    return repr(value).replace("\\x00", "NUL")[:70] if value else ""


@pytest.mark.parametrize(("method", "target", "options", "status", "line"), ADDRESSES + BODIES + HEADERS, ids=short)
def test_odd_requests(server, method, target, options, status, line):
    client, ids, folder = server
    files = set(folder.rglob("*"))
    options = filled(options, ids)
    headers = {"cookie": f"{COOKIE}={ids['visit']}"} | options.pop("headers", {})
    client.cookies.clear()
    headers = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.request(method, filled(target, ids), headers=headers, **options)
    assert answer.status_code == status
    assert str(folder) not in answer.text
    if line is not None:
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()["error"]
        assert error.startswith(line)
        assert len(error.splitlines()) == 1
        assert len(error) < 300
    assert set(folder.rglob("*")) == files
