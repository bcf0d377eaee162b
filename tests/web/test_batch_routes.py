import io
import time
import zipfile
from pathlib import Path

import pytest

from lookcast.cli import main
from tests.photo_files import exif
from tests.web.conftest import Browser, encoded
from tests.web.test_visits import files


def wait(browser, batch):
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        state = browser.get(f"/api/batches/{batch}").json()
        if state["state"] == "done":
            return state
        assert state["state"] == "running"
        time.sleep(0.05)
    raise TimeoutError(state)


@pytest.fixture
def run(browser):
    """Return a function that makes, fills and starts a batch."""

    def start(photos, **choices):
        style = browser.upload(encoded("coffee"), "style.jpg")
        answer = browser.post("/api/batches", json={"styles": [{"id": style}], **choices})
        assert answer.status_code == 200, answer.text
        batch = answer.json()["id"]
        for name, data in photos:
            answer = browser.post(f"/api/batches/{batch}/photos", params={"name": name}, content=data)
            assert answer.status_code == 200, answer.text
        assert browser.post(f"/api/batches/{batch}/start").json()["state"] == "running"
        return batch

    return start


PHOTOS = [("a.jpg", encoded(exif=exif())), ("b.png", encoded("astronaut", "PNG"))]


class TestZip:
    @pytest.mark.parametrize("choices", [{}, {"strength": 0.3}, {"use_masks": "auto"}], ids=str)
    def test_has_the_bytes_of_the_command_line(self, browser, run, checkpoint, tmp_path, choices):
        batch = run(PHOTOS, **choices)
        state = wait(browser, batch)
        assert (state["done"], state["total"], state["failed"]) == (2, 2, [])
        answer = browser.get(f"/api/batches/{batch}/zip")
        assert answer.headers["content-type"] == "application/zip"
        found = zipfile.ZipFile(io.BytesIO(answer.content))
        assert found.testzip() is None

        (tmp_path / "style.jpg").write_bytes(encoded("coffee"))
        options = ["--style", str(tmp_path / "style.jpg"), "--checkpoint", str(checkpoint)]
        options += ["--strength", str(choices.get("strength", 1))]
        options += ["--auto-masks", "scenes"] if "use_masks" in choices else []
        assert found.namelist() == ["a.jpg", "b.png"]
        # One by one, because a command for a folder computes with fewer threads, which sum in another order.
        for name, data in PHOTOS:
            (tmp_path / name).write_bytes(data)
            assert main(["stylize", str(tmp_path / name), *options, "-o", str(tmp_path / "out" / name)]) == 0
            assert found.read(name) == (tmp_path / "out" / name).read_bytes()

    def test_names_are_distinct_and_plain(self, browser, run):
        data = encoded()
        batch = run([("../a.jpg", data), ("x/A.jpg", data), ("a.jpg", data), ("/etc/passwd.png", data)])
        wait(browser, batch)
        found = zipfile.ZipFile(io.BytesIO(browser.get(f"/api/batches/{batch}/zip").content))
        assert found.namelist() == ["a.jpg", "A_2.jpg", "a_3.jpg", "passwd.png"]


class TestBatch:
    def test_a_bad_photo_is_listed(self, browser, run, tmp_path):
        batch = run([("bad.jpg", b"text"), ("note.txt", encoded()), *PHOTOS])
        state = wait(browser, batch)
        assert (state["done"], state["total"]) == (4, 4)
        assert [failure["name"] for failure in state["failed"]] == ["bad.jpg", "note.txt"]
        assert state["failed"][0]["error"] == "bad.jpg: not a photo, or of an unknown format"
        assert state["failed"][1]["error"].startswith("note.txt: can't write photos of this suffix")
        found = zipfile.ZipFile(io.BytesIO(browser.get(f"/api/batches/{batch}/zip").content))
        assert found.namelist() == ["a.jpg", "b.png"]
        assert len(files(tmp_path)) == 3  # the style and two outputs: uploads of a batch go when they are done

    def test_all_fail(self, browser, run):
        batch = run([("bad.jpg", b"text")])
        wait(browser, batch)
        answer = browser.get(f"/api/batches/{batch}/zip")
        line = "batch: every photo failed, so there is nothing to download"
        assert (answer.status_code, answer.json()["error"]) == (422, line)

    def test_is_listed_after_a_reload(self, browser, run):
        first, second = run(PHOTOS), run(PHOTOS[:1])
        listed = browser.get("/api/batches").json()["batches"]
        assert [batch["id"] for batch in listed] == [first, second]
        assert [batch["total"] for batch in listed] == [2, 1]
        for batch in (first, second):
            wait(browser, batch)

    def test_time_left(self, browser, run, monkeypatch):
        batch = run([(f"{number}.png", encoded(kind="PNG")) for number in range(12)])
        seen = []
        while (state := browser.get(f"/api/batches/{batch}").json())["state"] == "running":
            seen.append((state["done"], state["seconds_left"]))
        assert all((left is None) == (done == 0) for done, left in seen)
        assert state["seconds_left"] is None

    def test_delete_stops_it(self, browser, run, tmp_path):
        batch = run([(f"{number}.png", encoded(kind="PNG")) for number in range(30)])
        assert browser.delete(f"/api/batches/{batch}").status_code == 204
        assert browser.get(f"/api/batches/{batch}").status_code == 404
        assert len(files(tmp_path)) == 1  # the style

    def test_the_visit_ends_during_a_batch(self, browser, run, tmp_path):
        run([(f"{number}.png", encoded(kind="PNG")) for number in range(30)])
        assert browser.delete("/api/visit").status_code == 204
        deadline = time.monotonic() + 20
        while files(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert files(tmp_path) == []


class TestRejects:
    def test_steps_in_a_wrong_order(self, browser, run):
        batch = run(PHOTOS)
        early = browser.get(f"/api/batches/{batch}/zip")
        wait(browser, batch)
        again = browser.post(f"/api/batches/{batch}/start")
        late = browser.post(f"/api/batches/{batch}/photos", params={"name": "c.jpg"}, content=encoded())
        assert (early.status_code, early.json()["error"][:7]) == (422, "batch: ")
        assert (again.status_code, again.json()["error"]) == (422, "batch: it is done already")
        assert (late.status_code, late.json()["error"]) == (422, "batch: it is done already")

    def test_no_photos(self, browser):
        style = browser.upload(encoded("coffee"))
        batch = browser.post("/api/batches", json={"styles": [{"id": style}]}).json()["id"]
        answer = browser.post(f"/api/batches/{batch}/start")
        assert (answer.status_code, answer.json()["error"]) == (422, "photos: a batch needs at least one photo")

    def test_too_many_photos(self, serve):
        browser = Browser(serve(batch_photos=1))
        style = browser.upload(encoded("coffee"))
        batch = browser.post("/api/batches", json={"styles": [{"id": style}]}).json()["id"]
        found = [
            browser.post(f"/api/batches/{batch}/photos", params={"name": "a.jpg"}, content=encoded()) for _ in range(2)
        ]
        assert [answer.status_code for answer in found] == [200, 413]

    @pytest.mark.parametrize(
        ("choices", "status", "line"),
        [
            ({"strength": 1.5}, 422, "strength: expected at most 1.0, got 1.5"),
            ({"styles": []}, 400, "styles: the checkpoint tiny needs a style photo"),
            ({"checkpoint": "none"}, 400, "checkpoint: expected one of tiny, universal_free, universal, got 'none'"),
        ],
        ids=str,
    )
    def test_choices(self, browser, choices, status, line):
        style = browser.upload(encoded("coffee"))
        answer = browser.post("/api/batches", json={"styles": [{"id": style}], **choices})
        assert (answer.status_code, answer.json()["error"]) == (status, line)


def test_files_are_in_one_folder_of_the_visit(browser, tmp_path):
    browser.upload(encoded())
    (folder,) = {path.parent for path in files(tmp_path)}
    assert folder.stat().st_mode & 0o077 == 0
    assert Path(folder).is_relative_to(tmp_path)
