"""One photo on the page: from the upload to the download."""

import re

import numpy as np
import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import expect

import lookcast
from lookcast.checkpoints import DEFAULT_CHECKPOINT
from lookcast.inference.jobs import Job
from lookcast.inference.photo_files import read_styles, stylize_file
from tests.photo_files import png16, save_photo
from tests.web.page.steps import drag, drop, pixels_of, set_slider, start, wait_for_result

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stylizer():
    return lookcast.load(device="cpu")


class TestResult:
    def test_an_example_gives_a_result_at_once(self, visit):
        page = visit()
        page.locator("#example-contents .thumb").first.click()
        wait_for_result(page)
        expect(page.locator("#looks [aria-pressed=true]")).to_have_count(1)
        expect(page.locator("#photo-facts")).to_contain_text("8-bit")
        page.locator("#code summary").click()
        expect(page.locator("#command")).to_contain_text("lookcast stylize")

    def test_weights_mix_looks(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        first = page.locator("#after .whole").get_attribute("src")
        page.locator("#looks .thumb").nth(1).click()
        expect(page.locator("#weights input")).to_have_count(2)
        with page.expect_request(lambda request: request.url.endswith("/results")) as sent:
            wait_for_result(page)  # of equal weights
        assert [style["weight"] for style in sent.value.post_data_json["styles"]] == [1, 1]
        with page.expect_request(lambda request: request.url.endswith("/results")) as sent:
            set_slider(page.locator("#weights input").first, 100)
        assert [style["weight"] for style in sent.value.post_data_json["styles"]] == [2, 1]
        expect(page.locator("#weights output").first).to_have_text("67 %")
        wait_for_result(page)
        expect(page.locator("#after .whole")).not_to_have_attribute("src", first)

    def test_own_look_replaces_the_examples_and_can_be_removed(self, visit, photos):
        page = visit()
        drop(page, "#photo", photos / "coffee.jpg")
        page.locator("#looks .thumb").first.click()
        wait_for_result(page)
        drop(page, "#look", photos / "rocket.jpg")
        chosen = page.locator("#looks [aria-pressed=true]")
        expect(chosen).to_have_text("rocket.jpg")
        page.get_by_role("button", name="Remove rocket.jpg").click()
        expect(chosen).to_have_count(0)
        expect(page.locator("#status")).to_have_text("Choose a look")
        expect(page.locator("#after img")).to_have_count(0)
        expect(page.locator("#download")).to_be_disabled()

    def test_a_checkpoint_with_a_single_look_needs_no_style(self, visit, strict_address, tmp_path):
        page = visit(at=strict_address)
        page.set_input_files("#photo-file", save_photo(tmp_path / "cat.jpg"))
        wait_for_result(page)
        expect(page.locator("#own-look")).to_be_visible()
        expect(page.locator("#command")).to_contain_text("--checkpoint own.safetensors")
        page.locator("#more summary").click()
        page.select_option("#checkpoint", DEFAULT_CHECKPOINT)
        expect(page.locator("#status")).to_have_text("Choose a look")
        expect(page.locator("#own-look")).to_be_hidden()

    def test_refine_and_checkpoint_are_part_of_the_request(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        page.locator("#more summary").click()
        with page.expect_request(lambda request: request.url.endswith("/results")) as sent:
            set_slider(page.locator("#refine"), 2)
        assert sent.value.post_data_json["refine"] == 2
        assert sent.value.post_data_json["checkpoint"] == DEFAULT_CHECKPOINT
        wait_for_result(page)
        expect(page.locator("#command")).to_contain_text("--refine 2")


class TestDownload:
    @pytest.mark.parametrize(
        ("source", "format", "suffix", "strength"),
        [("coffee.jpg", "jpeg", ".jpg", 100), ("coffee.jpg", "png", ".png", 40), ("deep.png", "tiff", ".tif", 100)],
    )
    def test_equals_the_python_api(self, visit, photos, stylizer, tmp_path, source, format, suffix, strength):
        if source == "deep.png":  # 16 bits, which a browser can't show and the download keeps
            values = skimage.data.astronaut()[:120, :200].astype(">u2") * 257
            (photos / source).write_bytes(png16(values, 2))
        page = visit()
        start(page, photos / source, photos / "rocket.jpg")
        set_slider(page.locator("#strength"), strength)
        page.select_option("#format", format)
        with page.expect_download() as download:
            page.locator("#download").click()
        assert download.value.suggested_filename == f"{source.split('.')[0]}_rocket{suffix}"
        stylizer.set_style(read_styles([photos / "rocket.jpg"]))
        target = tmp_path / f"expected{suffix}"
        stylize_file(stylizer, Job(photos / source, target), strength / 100)
        assert download.value.path().read_bytes() == target.read_bytes()

    def test_cube(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg", photos / "rocket.jpg")
        with page.expect_download() as download:
            page.locator("#cube").click()
        assert download.value.suggested_filename == "coffee_rocket.cube"
        lines = download.value.path().read_text().splitlines()
        assert "LUT_3D_SIZE 33" in lines
        assert sum(bool(re.fullmatch(r"\S+ \S+ \S+", line)) for line in lines[-(33**3) :]) == 33**3

    @pytest.mark.nightly
    def test_haldclut(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg", photos / "rocket.jpg")
        with page.expect_download() as download:
            page.locator("#hald").click()
        assert download.value.suggested_filename == "coffee_rocket.png"
        assert Image.open(download.value.path()).size == (512, 512)  # level 8

    def test_lines_follow_strength_and_format(self, visit, photos):
        page = visit(permissions=["clipboard-read", "clipboard-write"])
        start(page, photos / "coffee.jpg", photos / "rocket.jpg")
        page.locator("#code summary").click()
        set_slider(page.locator("#strength"), 30)
        page.select_option("#format", "png")
        line = "lookcast stylize coffee.jpg --style rocket.jpg --strength 0.3 -o coffee_rocket.png"
        expect(page.locator("#command")).to_have_text(line)
        page.get_by_role("button", name="Copy the command line").click()
        expect(page.locator("[data-copy=command]")).to_have_text("Copied")
        assert page.evaluate("() => navigator.clipboard.readText()") == line


class TestStage:
    def test_strength_does_not_run_the_network(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        runs = []
        page.on("request", lambda request: runs.append(request.url) if request.method == "POST" else None)
        page.get_by_label("After", exact=True).check()
        full = pixels_of(page.locator("#paper"))
        set_slider(page.locator("#strength"), 0)
        expect(page.locator("#after .whole")).to_have_attribute("src", re.compile("strength=0$"))
        none = pixels_of(page.locator("#paper"))
        page.get_by_label("Before", exact=True).check()
        before = pixels_of(page.locator("#paper"))
        # The tags "Before" and "After" differ, so only the lower part is compared: strength 0 is the photo itself.
        assert np.array_equal(none[60:], before[60:])
        assert np.abs(full[60:].astype(int) - before[60:]).mean() > 4
        assert runs == []

    def test_border_by_mouse_and_by_keys(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        paper, border = page.locator("#paper"), page.locator("#split")
        box = paper.bounding_box()
        sides = {}
        for side in ("Before", "After"):
            page.get_by_label(side, exact=True).check()
            sides[side] = pixels_of(paper)
        page.get_by_label("Split", exact=True).check()
        expect(border).to_have_attribute("aria-valuenow", "50")
        knob = border.bounding_box()
        middle = (knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
        drag(page, middle, (box["x"] + 0.25 * box["width"], middle[1]))
        expect(border).to_have_attribute("aria-valuenow", "25")
        border.press("ArrowRight")
        border.press("Shift+ArrowRight")
        expect(border).to_have_attribute("aria-valuenow", "36")
        split, at = pixels_of(paper), round(0.36 * box["width"])
        rows = slice(60, None)  # below the tags
        left, right = slice(0, at - 30), slice(at + 30, None)  # beside the handle
        assert np.array_equal(split[rows, left], sides["Before"][rows, left])
        assert np.array_equal(split[rows, right], sides["After"][rows, right])
        border.press("Home")
        expect(border).to_have_attribute("aria-valuetext", "0 % before")
        border.press("End")
        expect(border).to_have_attribute("aria-valuenow", "100")

    def test_full_zoom_shows_the_pixels_of_the_photo(self, visit, photos):
        page = visit()
        start(page, photos / "large.png")
        page.get_by_label("Before", exact=True).check()
        view = page.locator("#view")
        view.press("z")
        expect(page.get_by_label("100 %")).to_be_checked()
        for _ in range(4):
            view.press("ArrowRight")
        view.press("ArrowDown")
        expect(page.locator("#before .tile")).not_to_have_count(0)
        page.wait_for_timeout(600)  # the tiles of the last position
        x, y, width, height = page.evaluate(
            "() => { const v = document.getElementById('view');"
            " return [v.scrollLeft, v.scrollTop, v.clientWidth, v.clientHeight]; }"
        )
        assert (x, y) != (0, 0)
        inside = slice(60, height - 8), slice(120, width - 8)  # without the tag and the round corners
        shown = pixels_of(view)[inside]
        photo = np.asarray(Image.open(photos / "large.png"))
        expected = photo[round(y) : round(y) + height, round(x) : round(x) + width][inside]
        assert np.array_equal(shown, expected)
        page.mouse.dblclick(640, 400)
        expect(page.get_by_label("Fit")).to_be_checked()
        expect(page.locator("#before .tile")).to_have_count(0)

    def test_drag_pans_at_full_zoom(self, visit, photos):
        page = visit()
        start(page, photos / "large.png")
        page.get_by_label("100 %").check()
        place = "() => { const v = document.getElementById('view'); return [v.scrollLeft, v.scrollTop]; }"
        x, y = page.evaluate(place)
        drag(page, (300, 300), (240, 260))
        assert page.evaluate(place) == [x + 60, y + 40]
        expect(page.locator("#split")).to_have_attribute("aria-valuenow", "50")
