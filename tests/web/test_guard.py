import base64
from types import SimpleNamespace

import pytest

from lookcast.checks import InputError
from lookcast.web.app import create_app
from lookcast.web.options import WebOptions
from tests.web.conftest import encoded


class TestHost:
    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:8750", "127.0.0.1:80", "[::1]:8750", "192.168.1.7", "PHOTOS.lan:1"]
    )
    def test_own(self, serve, host):
        assert serve(names=["photos.LAN"]).get("/api/settings", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["", "evil.example", "localhost.evil.example:8750", "127.0.0.1.evil.example", "a@b", "[", "::1x"]
    )
    @pytest.mark.parametrize("path", ["/", "/api/settings"])
    def test_rejects_names_that_point_here(self, serve, host, path):
        answer = serve().get(path, headers={"host": host})
        assert answer.status_code == 403
        assert answer.json()["error"].startswith("host: ")


class TestSite:
    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "http://localhost:1234", "null", "http://localhost.evil"]
    )
    def test_rejects_another_origin(self, serve, origin):
        answer = serve().post("/api/photos", params={"name": "a"}, content=encoded(), headers={"origin": origin})
        assert (answer.status_code, answer.json()["error"]) == (403, "another web site made this request")

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_rejects_pictures_in_other_sites(self, serve, site):
        client = serve()
        assert client.get("/api/settings", headers={"sec-fetch-site": site}).status_code == 403
        assert client.get("/", headers={"sec-fetch-site": site}).status_code == 200  # a link may open the page

    def test_own_origin(self, serve):
        headers = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
        client = serve()
        assert client.post("/api/photos", params={"name": "a"}, content=encoded(), headers=headers).status_code == 200


def login(user, password):
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


class TestAuth:
    @pytest.mark.parametrize("path", ["/", "/index.html", "/api/settings"])
    def test_everything_needs_the_password(self, serve, path):
        client = serve(auth="anna:p:ä")
        refused = client.get(path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic")
        assert client.get(path, headers=login("anna", "p:ä")).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            login("anna", "q"),
            login("anna", ""),
            login("", "p"),
            {"authorization": "Basic"},
            {"authorization": "Basic !"},
            {"authorization": "Bearer YW5uYTpw"},
        ],
        ids=str,
    )
    def test_rejects(self, serve, headers):
        assert serve(auth="anna:p").get("/api/settings", headers=headers).status_code == 401

    def test_few_wrong_passwords_are_tried_per_second(self, serve):
        client = serve(auth="anna:p", requests_per_second=1, burst=50)
        found = [client.get("/", headers=login("anna", str(number))).status_code for number in range(20)]
        # Each try takes 11 of the 50 requests: five tries empty the bucket, and a second refills one request.
        assert found[:5] == [401] * 5
        assert found.count(401) <= 7
        assert set(found[7:]) == {429}

    @pytest.mark.parametrize("auth", ["anna", "anna:", ":p", ""])
    def test_rejects_a_login_without_a_part(self, auth):
        with pytest.raises(InputError, match=r"^auth: expected USER:PASSWORD"):
            create_app(WebOptions(auth=auth))


class TestRate:
    def test_refills(self, serve, monkeypatch):
        now = [100.0]
        # Only this module gets the false clock. By it, the event loop of another server in this process would not wake.
        monkeypatch.setattr("lookcast.web.guard.time", SimpleNamespace(monotonic=lambda: now[0]))
        client = serve(requests_per_second=2, burst=5)
        assert [client.get("/").status_code for _ in range(7)] == [200] * 5 + [429] * 2
        now[0] += 1
        assert [client.get("/").status_code for _ in range(3)] == [200] * 2 + [429]
        now[0] += 1000
        answers = [client.get("/") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[-1].headers["retry-after"] == "1"
        assert answers[-1].json() == {"error": "too many requests; try again in a moment"}

    def test_a_visitor_does_not_use_up_the_requests_of_another(self, two):
        one, other = two
        for browser in two:
            browser.get("/api/settings")
        rates = one.client.app._rates
        rates._rate = 0
        while one.get("/").status_code == 200:
            pass
        assert one.get("/").status_code == 429
        assert other.get("/").status_code == 200


class TestBody:
    def test_rejects_an_upload_by_its_length(self, serve):
        client = serve(upload_bytes=1000)
        answer = client.post("/api/photos", params={"name": "a"}, content=bytes(1001))
        line = "upload: more than the limit of 1000 bytes; --max-upload changes the limit"
        assert (answer.status_code, answer.json()["error"]) == (413, line)

    def test_rejects_an_upload_while_it_arrives(self, serve, tmp_path):
        client = serve(upload_bytes=3 << 20)
        sent = []

        def endless():
            for number in range(100):
                sent.append(number)
                yield bytes(1 << 20)

        answer = client.post("/api/photos", params={"name": "a"}, content=endless())
        assert answer.status_code == 413
        assert not [path for path in (tmp_path / "temporary").rglob("*") if path.is_file() and path.suffix != ".lock"]

    def test_rejects_large_requests(self, serve):
        client = serve()
        client.get("/api/settings")
        answer = client.post("/api/results", content=b"[" * (1 << 17), headers={"content-type": "application/json"})
        assert answer.status_code == 413


class TestHeaders:
    @pytest.mark.parametrize("path", ["/", "/api/settings", "/none", "/api/photos/x/preview"])
    def test_on_every_answer(self, serve, path):
        headers = serve().get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == ("no-store" if path.startswith("/api/") else "no-cache")

    def test_on_unexpected_errors(self, serve, monkeypatch, caplog):
        client = serve()
        monkeypatch.setattr("lookcast.web.photo_routes.PALETTE", 7)
        answer = client.get("/api/settings")
        assert (answer.status_code, answer.json()) == (500, {"error": "the server failed; its log has the reason"})
        assert "content-security-policy" in answer.headers

    @pytest.mark.parametrize(
        "path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "//etc/passwd", "/page/", "/docs", "/openapi.json"]
    )
    def test_nothing_beside_the_page(self, serve, path):
        answer = serve().get(path)
        assert answer.status_code == 404
        assert "error" in answer.json()
