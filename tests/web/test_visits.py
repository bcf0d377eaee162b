import time

import pytest

from tests.web.conftest import Browser, encoded


def files(tmp_path):
    return [path for path in (tmp_path / "temporary").rglob("*") if path.is_file() and path.suffix != ".lock"]


class TestOtherVisits:
    """A visitor who learns an id of another visitor can do nothing with it."""

    @pytest.fixture
    def addresses(self, two):
        one, _ = two
        content, style = one.upload(encoded()), one.upload(encoded("coffee"))
        result = one.stylize(content, style)["id"]
        batch = one.post("/api/batches", json={"styles": [{"id": style}]}).json()["id"]
        box = "x=0&y=0&w=4&h=4"
        one.post("/api/masks/auto", json={"content": content, "styles": [style]})
        return [
            ("GET", f"photos/{content}/preview", None),
            ("GET", f"photos/{content}/crop?{box}", None),
            ("GET", f"photos/{content}/mask", None),
            ("DELETE", f"photos/{content}/mask", None),
            ("PUT", f"photos/{content}/mask", b"x"),
            ("POST", "masks/auto", {"content": content, "styles": [style]}),
            ("POST", "results", {"content": content, "styles": [{"id": style}]}),
            ("GET", f"results/{result}/preview", None),
            ("GET", f"results/{result}/crop?{box}", None),
            ("GET", f"results/{result}/download", None),
            ("GET", f"results/{result}/lines", None),
            ("GET", f"results/{result}/lut", None),
            ("POST", "batches", {"styles": [{"id": style}]}),
            ("GET", f"batches/{batch}", None),
            ("GET", f"batches/{batch}/zip", None),
            ("POST", f"batches/{batch}/photos?name=a", b"x"),
            ("POST", f"batches/{batch}/start", None),
            ("DELETE", f"batches/{batch}", None),
            ("DELETE", f"photos/{content}", None),
        ]

    def test_all_is_404(self, two, addresses):
        one, other = two
        other.upload(encoded())  # a visit of its own
        for method, address, body in addresses:
            options = {"json": body} if isinstance(body, dict) else {"content": body}
            answer = other.client.request(method, f"/api/{address}", **options)
            assert answer.status_code == 404, (method, address, answer.text)
        for method, address, _ in addresses:  # nothing was changed
            if method == "GET" and not address.endswith("zip"):
                assert one.get(f"/api/{address}").status_code == 200, address

    def test_all_is_404_without_a_visit(self, two, addresses):
        _, other = two
        for method, address, body in addresses:
            options = {"json": body} if isinstance(body, dict) else {"content": body}
            assert other.client.request(method, f"/api/{address}", **options).status_code == 404, address
        assert other.get("/api/batches").status_code == 404

    def test_lists_are_separate(self, two, addresses):
        one, other = two
        other.get("/api/settings")
        assert len(one.get("/api/batches").json()["batches"]) == 1
        assert other.get("/api/batches").json() == {"batches": []}

    def test_a_made_up_cookie_is_no_visit(self, serve):
        client = serve()
        client.cookies.set("lookcast_visit", "mine")
        assert client.get("/api/batches").status_code == 404
        assert client.get("/api/settings").headers["set-cookie"].split(";")[0] != "lookcast_visit=mine"


class TestEnd:
    def test_on_request(self, two, tmp_path):
        one, other = two
        photo, kept = one.upload(encoded()), other.upload(encoded())
        service = one.client.app._app.state.service
        answer = one.delete("/api/visit")
        assert (answer.status_code, answer.headers["clear-site-data"]) == (204, '"cache", "cookies"')
        deadline = time.monotonic() + 10
        while len(files(tmp_path)) > 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(files(tmp_path)) == 1
        assert one.get(f"/api/photos/{photo}/preview").status_code == 404
        assert other.get(f"/api/photos/{kept}/preview").status_code == 200
        assert {key[0] for key in service.reader.cache._entries} == {kept}

    def test_after_a_while(self, serve, tmp_path):
        browser = Browser(serve(visit_seconds=0.3))
        photo = browser.upload(encoded())
        for _ in range(8):  # each request prolongs the visit
            assert browser.get(f"/api/photos/{photo}/preview").status_code == 200
            time.sleep(0.1)
        deadline = time.monotonic() + 10
        while files(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert files(tmp_path) == []
        answer = browser.get(f"/api/photos/{photo}/preview")
        line = "this browser has no visit, or its visit has ended; load the page again"
        assert (answer.status_code, answer.json()["error"]) == (404, line)

    def test_when_the_server_ends(self, serve, tmp_path):
        client = serve()
        Browser(client).upload(encoded())
        assert len(files(tmp_path)) == 1
        client.__exit__(None, None, None)
        assert list((tmp_path / "temporary").iterdir()) == []
        client.__enter__()  # the fixture ends it again


class TestStart:
    def test_the_oldest_empty_visit_makes_room(self, serve):
        client = serve(visits=3)
        browser = Browser(client)
        photo = browser.upload(encoded())
        own = client.cookies["lookcast_visit"]
        for _ in range(5):
            client.cookies.clear()
            assert client.get("/api/settings").status_code == 200
        client.cookies.clear()
        client.cookies.set("lookcast_visit", own)
        assert client.get(f"/api/photos/{photo}/preview").status_code == 200

    def test_too_many_visitors(self, serve):
        client = serve(visits=2)
        for _ in range(2):
            client.cookies.clear()
            Browser(client).upload(encoded())
        client.cookies.clear()
        answer = client.get("/api/settings")
        line = "too many visitors at a time; try again later"
        assert (answer.status_code, answer.json()["error"]) == (429, line)
