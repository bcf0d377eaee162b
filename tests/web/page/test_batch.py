"""The batch tab: photos in, a zip out, and a bar that survives a reload."""

import io
import zipfile

import pytest
from playwright.sync_api import expect

import lookcast
from lookcast.inference.jobs import Job
from lookcast.inference.photo_files import read_styles, stylize_file
from tests.photo_files import save_photo
from tests.runs import break_photo
from tests.web.page.steps import drop

pytestmark = pytest.mark.browser


class TestBatch:
    def test_zip_equals_the_python_api(self, visit, photos, tmp_path):
        kinds = {"a.jpg": "chelsea", "b.png": "coffee", "c.jpg": "astronaut"}
        sources = [save_photo(tmp_path / "in" / name, kind) for name, kind in kinds.items()]
        (tmp_path / "in" / "notes.txt").write_text("not a photo, and not sent")
        page = visit()
        page.set_input_files("#look-file", photos / "rocket.jpg")
        page.locator("#tab-batch").click()
        page.set_input_files("#batch-file", [*sources, tmp_path / "in" / "notes.txt"])
        card = page.locator(".batch-card")
        expect(card).to_be_visible()  # the photos are sent, and the server works
        page.reload()
        expect(card).to_contain_text("3 of 3 photos ready")
        expect(card.locator("progress")).to_have_attribute("value", "3")
        with page.expect_download() as download:
            card.get_by_role("link", name="Download zip").click()
        archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
        assert sorted(archive.namelist()) == list(kinds)
        stylizer = lookcast.load(device="cpu")
        stylizer.set_style(read_styles([photos / "rocket.jpg"]))
        for source in sources:
            target = tmp_path / "out" / source.name
            target.parent.mkdir(exist_ok=True)
            stylize_file(stylizer, Job(source, target))
            assert archive.read(source.name) == target.read_bytes()

    def test_a_broken_photo_is_named_and_the_others_go_on(self, visit, tmp_path):
        good, bad = save_photo(tmp_path / "good.jpg"), break_photo(save_photo(tmp_path / "bad.jpg"))
        page = visit()
        page.locator("#looks .thumb").first.click()
        page.locator("#tab-batch").click()
        page.set_input_files("#batch-file", [bad, good])
        card = page.locator(".batch-card")
        expect(card).to_contain_text("photos ready")
        expect(page.locator(".failures, .notice").filter(has_text="bad.jpg")).to_contain_text("truncated")
        card.get_by_role("button", name="Discard").click()
        expect(card).to_have_count(0)

    def test_waits_for_a_look_that_is_on_its_way(self, visit, tmp_path):
        page, held = visit(), []
        page.route("**/api/photos/example*", lambda route: held.append(route))
        with page.expect_request("**/api/photos/example*"):
            page.locator("#looks .thumb").first.click()
        page.locator("#tab-batch").click()
        page.set_input_files("#batch-file", save_photo(tmp_path / "photo.jpg"))
        expect(page.locator("#looks [aria-pressed=true]")).to_have_count(0)
        held[0].continue_()
        expect(page.locator(".batch-card")).to_contain_text("1 of 1 photos ready")
        expect(page.get_by_role("alert")).to_have_count(0)

    def test_needs_a_look_and_photos(self, visit, photos, tmp_path):
        page = visit()
        page.locator("#tab-batch").click()
        page.set_input_files("#batch-file", photos / "coffee.jpg")
        expect(page.get_by_role("alert")).to_contain_text("choose one or more looks")
        (tmp_path / "notes.txt").write_text("text")
        page.set_input_files("#batch-file", tmp_path / "notes.txt")
        expect(page.get_by_role("alert").last).to_contain_text("none among the 1 files")

    def test_several_photos_on_the_photo_tab_become_a_batch(self, visit, photos):
        page = visit()
        page.locator("#looks .thumb").first.click()
        expect(page.locator("#looks [aria-pressed=true]")).to_have_count(1)
        drop(page, "#photo", photos / "coffee.jpg", photos / "rocket.jpg")
        expect(page.locator("#batch")).to_be_visible()
        expect(page.locator(".batch-card")).to_contain_text("2 of 2 photos ready")
