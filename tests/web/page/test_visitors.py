"""Visitors who make mistakes, and two visitors at a time."""

import numpy as np
import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import expect

from lookcast import cli
from tests.photo_files import save_photo
from tests.runs import break_photo
from tests.web.page.steps import start, wait_for_result

pytestmark = pytest.mark.browser


@pytest.fixture
def command_line(tmp_path, monkeypatch, capsys):
    """Run `lookcast stylize` in the folder of the photos; return the line that it prints about its failure."""

    def line(*arguments):
        monkeypatch.chdir(tmp_path)
        assert cli.main(["stylize", *arguments, "-o", "out.jpg", "--device", "cpu"]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1].removeprefix("lookcast: ").removeprefix("error: ")

    return line


class TestErrors:
    @pytest.mark.parametrize("kind", ["text", "cut"])
    def test_are_the_lines_of_the_command_line(self, visit, tmp_path, command_line, kind):
        bad = tmp_path / "holiday.jpg"
        if kind == "text":
            bad.write_text("not a photo")
        else:
            break_photo(save_photo(bad))
        save_photo(tmp_path / "style.png", "coffee")
        page = visit()
        page.set_input_files("#photo-file", bad)
        alert = page.get_by_role("alert")
        expect(alert.locator("p")).to_have_text(command_line("holiday.jpg", "--style", "style.png"))
        expect(page.locator("#welcome")).to_be_visible()
        alert.get_by_role("button").click()
        expect(alert).to_have_count(0)

    def test_too_large_photos(self, visit, strict_address, tmp_path):
        page = visit(at=strict_address)
        noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "heavy.png")
        Image.new("RGB", (400, 300)).save(tmp_path / "many.png")
        page.set_input_files("#photo-file", tmp_path / "heavy.png")
        expect(page.get_by_role("alert")).to_contain_text("upload: more than the limit of 200000 bytes")
        page.set_input_files("#photo-file", tmp_path / "many.png")
        expect(page.get_by_role("alert").last).to_contain_text("120000 pixels")

    def test_the_page_goes_on_after_an_error(self, visit, tmp_path, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        before = page.locator("#after .whole").get_attribute("src")
        (tmp_path / "look.jpg").write_text("not a photo")
        page.set_input_files("#look-file", tmp_path / "look.jpg")
        expect(page.get_by_role("alert")).to_contain_text("look.jpg")
        expect(page.locator("#after .whole")).to_have_attribute("src", before)
        page.locator("#looks .thumb").nth(1).click()
        expect(page.get_by_role("alert")).to_have_count(0)
        wait_for_result(page)

    def test_a_name_is_text_and_not_markup(self, visit, photos):
        page = visit()
        name = "<img src=x onerror=document.title='no'>.jpg"
        photo = {"name": name, "mimeType": "image/jpeg", "buffer": (photos / "coffee.jpg").read_bytes()}
        page.set_input_files("#photo-file", photo)
        expect(page.locator("#photo-facts strong")).to_contain_text("onerror")
        photo["buffer"] = b"not a photo"
        page.set_input_files("#look-file", photo)
        expect(page.get_by_role("alert")).to_contain_text("onerror")
        assert page.title() == "lookcast"

    def test_a_server_that_went_away(self, visit, photos):
        page = visit()
        page.route("**/api/photos*", lambda route: route.abort())
        page.set_input_files("#photo-file", photos / "coffee.jpg")
        expect(page.get_by_role("alert")).to_contain_text("the server does not answer")


class TestTwoVisitors:
    def test_see_only_their_own_photos(self, visit, photos, tmp_path):
        Image.fromarray(skimage.data.chelsea()).save(tmp_path / "cat.jpg")
        first, second = visit(), visit()
        start(first, photos / "coffee.jpg")
        start(second, tmp_path / "cat.jpg")
        expect(first.locator("#photo-facts strong")).to_have_text("coffee.jpg")
        expect(second.locator("#photo-facts strong")).to_have_text("cat.jpg")
        ask = """async (url) => {
            const answer = await fetch(url);
            return [answer.status, (await answer.text()).length > 500];
        }"""
        for layer in ("#before", "#after"):
            address = first.locator(f"{layer} .whole").get_attribute("src")
            assert first.evaluate(ask, address) == [200, True]
            assert second.evaluate(ask, address) == [404, False]

    def test_forget_my_photos(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        address = page.locator("#before .whole").get_attribute("src")
        page.get_by_role("button", name="Forget my photos").click()
        expect(page.locator("#welcome")).to_be_visible()
        expect(page.locator("#looks .thumb").first).to_be_visible()
        assert page.evaluate("async (url) => (await fetch(url, {cache: 'reload'})).status", address) == 404
