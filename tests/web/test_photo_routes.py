import io

import numpy as np
import pytest
from PIL import Image

from lookcast import examples
from tests.photo_files import ADOBE_RGB, exif
from tests.web.conftest import Browser, encoded, opened


class TestSettings:
    def test_known_values(self, browser):
        answer = browser.get("/api/settings").json()
        assert answer["checkpoints"] == ["tiny", "universal_free", "universal"]
        assert answer["mask_colors"][1] == {"name": "green", "rgb": [0, 255, 0]}
        assert len(answer["mask_colors"]) == 9
        assert answer["examples"] == {"contents": sorted(examples.contents()), "styles": sorted(examples.styles())}
        assert answer["limits"]["preview_side"] == 2048

    def test_cookie(self, browser):
        cookie = browser.get("/api/settings").headers["set-cookie"]
        assert len(cookie.split(";")[0].split("=")[1]) >= 22  # 128 bits in base64
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "max-age" not in cookie.lower()
        assert "expires" not in cookie.lower()


class TestAddPhoto:
    def test_describes_the_photo(self, browser):
        data = encoded(exif=exif(6), icc_profile=ADOBE_RGB)
        answer = browser.post("/api/photos", params={"name": "C:\\photos\\a b.jpg"}, content=data).json()
        assert len(answer.pop("id")) >= 22
        size = {"width": 64, "height": 96}  # orientation 6 turns the photo
        assert answer == {"name": "a b.jpg", **size, "bit_depth": 8, "has_profile": True, "has_exif": True}

    @pytest.mark.parametrize(
        ("data", "line"),
        [
            (b"", "upload: expected the bytes of a file, got none"),
            (b"no photo", "my.jpg: not a photo, or of an unknown format"),
            (encoded()[:900], "my.jpg: broken or truncated"),
            (
                encoded("coffee", box=(slice(None), slice(None))),
                "my.jpg: too large, 600x400 = 240000 pixels, more than",
            ),
        ],
        ids=["empty", "text", "truncated", "large"],
    )
    def test_rejects(self, serve, tmp_path, data, line):
        answer = serve(max_pixels=10_000).post("/api/photos", params={"name": "../my.jpg"}, content=data)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(line)
        assert str(tmp_path) not in answer.text
        assert not [path for path in (tmp_path / "temporary").rglob("*") if path.is_file() and path.suffix != ".lock"]

    @pytest.mark.parametrize(
        "name", ["../../x.jpg", "/etc/passwd", "\0\n.jpg", "a" * 900, "CON", "..", "-rf", '"; x="']
    )
    def test_no_name_reaches_the_file_system(self, browser, tmp_path, name):
        before = set(tmp_path.rglob("*"))
        answer = browser.post("/api/photos", params={"name": name}, content=encoded())
        assert answer.status_code == 200
        shown = answer.json()["name"]
        assert 0 < len(shown) <= 150
        assert not set(shown) & set('/\\"\n\0')
        new = [path for path in set(tmp_path.rglob("*")) - before if path.is_file()]
        assert len(new) == 1
        assert len(new[0].name) == 22

    def test_limits(self, serve):
        browser = Browser(serve(photos=2))
        ids = [browser.upload(encoded()) for _ in range(2)]
        answer = browser.post("/api/photos", params={"name": "a"}, content=encoded())
        assert (answer.status_code, answer.json()["error"]) == (413, "this visit holds 2 photos; delete some first")
        assert browser.delete(f"/api/photos/{ids[0]}").status_code == 204
        browser.upload(encoded())

    def test_limit_of_the_disk(self, serve):
        size = len(encoded())
        browser = Browser(serve(visit_bytes=2 * size + 100))
        ids = [browser.upload(encoded()) for _ in range(2)]
        answer = browser.post("/api/photos", params={"name": "a"}, content=encoded())
        line = f"this visit holds {2 * size} bytes of at most {2 * size + 100}"
        assert (answer.status_code, answer.json()["error"]) == (413, line)
        browser.delete(f"/api/photos/{ids[0]}")
        browser.upload(encoded())


class TestAddExample:
    def test_is_a_photo(self, browser):
        name = sorted(examples.styles())[0]
        answer = browser.post("/api/photos/example", params={"name": name, "kind": "styles"})
        photo = np.asarray(Image.open(examples.styles()[name]))
        assert (answer.json()["height"], answer.json()["width"]) == photo.shape[:2]
        crop = {"x": 5, "y": 6, "w": 40, "h": 30}
        found = opened(browser.get(f"/api/photos/{answer.json()['id']}/crop", params=crop))
        assert np.array_equal(found, photo[6:36, 5:45])

    @pytest.mark.parametrize("name", ["none", "../CREDITS", "/etc/passwd", ""])
    def test_rejects_other_names(self, browser, name):
        answer = browser.post("/api/photos/example", params={"name": name, "kind": "styles"})
        assert (answer.status_code, answer.json()["error"]) == (404, "example: no such example in this visit")

    def test_preview(self, browser):
        name = sorted(examples.contents())[0]
        answer = browser.get(f"/api/examples/contents/{name}", params={"side": 64})
        assert max(opened(answer).shape) == 64
        assert answer.headers["cache-control"] == "public, max-age=86400"
        assert browser.get("/api/examples/contents/..%2fCREDITS").status_code == 404


class TestPreview:
    def test_is_the_photo(self, browser):
        data = encoded(kind="PNG")
        found = opened(browser.get(f"/api/photos/{browser.upload(data)}/preview", params={"side": 96}))
        difference = np.abs(found.astype(int) - np.asarray(Image.open(io.BytesIO(data))))
        assert difference.mean() < 3  # JPEG of quality 92

    @pytest.mark.parametrize(("side", "size"), [(16, (11, 16)), (48, (32, 48)), (2048, (64, 96))])
    def test_size(self, browser, side, size):
        answer = browser.get(f"/api/photos/{browser.upload(encoded())}/preview", params={"side": side})
        assert opened(answer).shape[:2] == size
        assert answer.headers["cache-control"] == "private, max-age=3600, immutable"

    @pytest.mark.parametrize("side", [0, 15, 2049, "x", ""])
    def test_rejects(self, browser, side):
        answer = browser.get(f"/api/photos/{browser.upload(encoded())}/preview", params={"side": side})
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("side: expected ")


class TestDelete:
    def test_photo_and_results_go(self, browser, tmp_path):
        content, style = browser.upload(encoded()), browser.upload(encoded("coffee"))
        result = browser.stylize(content, style)["id"]
        assert browser.delete(f"/api/photos/{content}").status_code == 204
        for address in (f"photos/{content}/preview", f"results/{result}/preview", f"results/{result}/download"):
            assert browser.get(f"/api/{address}").status_code == 404
        assert browser.get(f"/api/photos/{style}/preview").status_code == 200
        files = [path for path in (tmp_path / "temporary").rglob("*") if path.is_file() and path.suffix != ".lock"]
        assert len(files) == 1
