"""Regions on the page: found, painted, saved, loaded and used."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from lookcast.ops.masks import PALETTE
from tests.runs import save_mask
from tests.web.page.steps import drag, set_slider, start, wait_for_result

pytestmark = pytest.mark.browser

RED, PURPLE = dict(PALETTE)["red"], dict(PALETTE)["purple"]


@pytest.fixture
def editor(visit, photos):
    """The page with the editor open for two photos."""
    page = visit()
    start(page, photos / "coffee.jpg", photos / "rocket.jpg")
    page.locator("#edit-masks").click()
    expect(page.locator("#editor canvas")).to_have_count(2)
    expect(page.locator("#undo")).to_be_disabled()
    return page


def saved(page, photo="coffee.jpg"):
    """Return the mask that "Save PNG" gives, `(H, W, 3)`."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save the mask of {photo}").click()
    assert download.value.suggested_filename == f"{photo.split('.')[0]}_mask.png"
    return np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGB"))


def kept(page, at=0):
    """Return the mask that the server keeps for the photo (0) or for its look (1)."""
    source = page.locator("#editor .picture img").nth(at).get_attribute("src")
    answer = page.context.request.get(page.url + source.replace("preview?side=1024", "mask"))
    return np.asarray(Image.open(io.BytesIO(answer.body())).convert("RGB"))


def pick(page, color):
    page.locator("#swatches label").filter(has=page.get_by_label(color, exact=True)).click()


def stroke(page, start_at, end_at):
    """Draw a line on the mask of the photo, between two points in [0, 1] of its width and height."""
    box = page.locator("#editor canvas").first.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start_at, end_at)]
    drag(page, *points)


class TestBrush:
    def test_paints_undoes_and_erases(self, editor):
        found = saved(editor)
        assert np.array_equal(found, kept(editor))
        assert {tuple(color) for color in np.unique(found.reshape(-1, 3), axis=0)} <= {rgb for _, rgb in PALETTE}
        height, width = found.shape[:2]
        pick(editor, "red")
        set_slider(editor.locator("#brush-size"), 40)
        stroke(editor, (0.3, 0.5), (0.6, 0.5))
        painted = saved(editor)
        # A brush of 40 screen pixels paints a bar with round ends, and nothing else.
        scale = width / editor.locator("#editor canvas").first.bounding_box()["width"]
        rows, columns = np.mgrid[:height, :width]
        along = np.clip(columns, 0.3 * width, 0.6 * width)
        distance = np.hypot(columns - along, rows - 0.5 * height)
        assert (painted[distance < 20 * scale - 2] == RED).all()
        beside = distance > 20 * scale + 2
        assert np.array_equal(painted[beside], found[beside])
        editor.locator("#undo").click()
        assert np.array_equal(saved(editor), found)
        editor.locator("#redo").click()
        assert np.array_equal(saved(editor), painted)
        expect(editor.locator("#redo")).to_be_disabled()
        pick(editor, "eraser")
        set_slider(editor.locator("#brush-size"), 60)
        stroke(editor, (0.28, 0.5), (0.62, 0.5))
        assert np.array_equal(saved(editor), found)

    def test_keys_paint(self, editor):
        found = saved(editor)
        canvas = editor.locator("#editor canvas").first
        canvas.focus()
        canvas.press("9")
        expect(editor.get_by_label("purple", exact=True)).to_be_checked()
        canvas.focus()
        canvas.press("Space")
        height, width = found.shape[:2]
        dab = saved(editor)
        assert tuple(dab[height // 2, width // 2]) == PURPLE
        canvas.focus()
        for _ in range(6):
            canvas.press("Shift+ArrowRight")
        line = saved(editor)
        found_area, dab_area, line_area = ((mask == PURPLE).all(2).sum() for mask in (found, dab, line))
        assert found_area == 0
        # A step is half the radius r, so the line is pi r^2 + 2 r * 6 r / 2 pixels: 2.9 times the dab.
        assert 2.7 < line_area / dab_area < 3.1
        canvas.focus()
        for _ in range(7):
            canvas.press("Control+z")
        assert np.array_equal(saved(editor), found)


class TestUse:
    def test_painted_regions_change_the_result(self, editor):
        old = editor.locator("#after .whole").get_attribute("src")
        pick(editor, "red")
        set_slider(editor.locator("#brush-size"), 200)
        stroke(editor, (0.1, 0.1), (0.9, 0.9))
        painted = saved(editor)
        with editor.expect_request(lambda request: request.url.endswith("/results")) as sent:
            editor.locator("#editor-apply").click()
        assert sent.value.post_data_json["use_masks"] is True
        expect(editor.locator("#editor")).to_be_hidden()
        expect(editor.get_by_label("Yours")).to_be_checked()
        wait_for_result(editor)
        expect(editor.locator("#after .whole")).not_to_have_attribute("src", old)
        assert np.array_equal(kept(editor), painted)
        editor.locator("#edit-masks").click()  # opens with the painted regions
        expect(editor.locator("#editor")).to_be_visible()
        assert np.array_equal(saved(editor), painted)

    def test_a_label_file_is_loaded_and_cancel_brings_back(self, editor, tmp_path):
        found = saved(editor)
        mask = save_mask(tmp_path / "mask.png", (300, 200))
        editor.locator("#editor .easel input[type=file]").first.set_input_files(mask)
        expect(editor.locator("#editor canvas").first).to_have_attribute("width", "300")
        assert np.array_equal(saved(editor), np.asarray(Image.open(mask)))
        editor.keyboard.press("Escape")
        expect(editor.locator("#editor")).to_be_hidden()
        assert np.array_equal(kept(editor), found)
        expect(editor.get_by_role("radio", name="Off")).to_be_checked()

    def test_a_wrong_label_file_is_refused_in_the_words_of_the_command_line(self, editor, photos, tmp_path):
        found = saved(editor)
        choose = editor.locator("#editor .easel input[type=file]").first
        choose.set_input_files(save_mask(tmp_path / "tall.png", (100, 300)))
        expect(editor.locator("#editor-error")).to_contain_text("aspect ratio")
        choose.set_input_files(photos / "coffee.jpg")
        expect(editor.locator("#editor-error")).to_contain_text("are far from each of the nine colours of masks")
        assert np.array_equal(saved(editor), found)

    def test_automatic_regions_need_no_editor(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        old = page.locator("#after .whole").get_attribute("src")
        with page.expect_request(lambda request: request.url.endswith("/results")) as sent:
            page.get_by_label("Automatic").check()
        assert sent.value.post_data_json["use_masks"] == "auto"
        wait_for_result(page)
        expect(page.locator("#after .whole")).not_to_have_attribute("src", old)

    def test_regions_of_a_mix(self, visit, photos):
        page = visit()
        start(page, photos / "coffee.jpg")
        whole = page.locator("#after .whole")
        of_one_look = whole.get_attribute("src")
        opening = page.locator("#edit-masks[aria-busy=true]")

        def arrive_late(route):
            expect(opening).to_be_attached()
            route.continue_()

        page.route("**/photos/example?*", arrive_late)
        page.locator("#looks .thumb").nth(1).click()
        page.locator("#edit-masks").click()  # waits for the look that was chosen a moment ago
        expect(page.locator("#editor canvas")).to_have_count(3)
        expect(whole).not_to_have_attribute("src", of_one_look)
        old = whole.get_attribute("src")
        pick(page, "red")
        set_slider(page.locator("#brush-size"), 200)
        last = page.locator("#editor canvas").nth(2)
        last.scroll_into_view_if_needed()
        box = last.bounding_box()
        middle = box["y"] + box["height"] / 2
        drag(page, (box["x"] + 0.1 * box["width"], middle), (box["x"] + 0.9 * box["width"], middle))
        with page.expect_request(lambda request: request.url.endswith("/results")) as sent:
            page.locator("#editor-apply").click()
        assert sent.value.post_data_json["use_masks"] is True
        assert len(sent.value.post_data_json["styles"]) == 2
        wait_for_result(page)
        expect(whole).not_to_have_attribute("src", old)
        assert (kept(page, 2) == RED).all(2).mean() > 0.2
