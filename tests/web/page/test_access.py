"""The page for everyone: axe-core finds nothing, the keyboard is enough, and a phone shows all of it."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.web.page.steps import start, wait_for_result

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page):
    """What axe-core finds: the rule and the elements."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


class TestAxe:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_finds_nothing(self, visit, photos, scheme):
        page = visit(color_scheme=scheme, reduced_motion="reduce")
        assert violations(page) == []
        start(page, photos / "coffee.jpg")
        page.locator("#looks .thumb").nth(1).click()  # shows the weights
        for summary in page.locator("summary").all():
            summary.click()
        page.set_input_files("#photo-file", {"name": "no.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"})
        expect(page.get_by_role("alert").first).to_be_visible()
        assert violations(page) == []
        page.locator("#tab-batch").click()
        assert violations(page) == []
        page.locator("#tab-photo").click()
        page.locator("#looks .thumb").nth(1).click()
        page.locator("#edit-masks").click()
        expect(page.locator("#editor canvas")).to_have_count(2)
        assert violations(page) == []


class TestKeyboard:
    def test_from_the_example_to_the_download(self, visit):
        page = visit()

        def tab_to(selector, limit=60):
            for _ in range(limit):
                page.keyboard.press("Tab")
                if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                    return
            raise AssertionError(f"Tab does not reach {selector}")

        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        tab_to("#example-contents .thumb")
        page.keyboard.press("Enter")
        wait_for_result(page)
        tab_to("#split")
        page.keyboard.press("End")
        expect(page.locator("#split")).to_have_attribute("aria-valuenow", "100")
        tab_to("[name=side]")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_label("After", exact=True)).to_be_checked()
        tab_to("#looks .thumb")
        page.keyboard.press("Space")
        expect(page.locator("#looks .thumb").first).to_be_focused()
        expect(page.locator("#weights input")).to_have_count(2)
        tab_to("#strength")
        page.keyboard.press("Home")
        expect(page.locator("#strength-value")).to_have_text("0 %")
        tab_to("#download")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename.endswith(".jpg")

    def test_tabs_by_arrow_keys(self, visit):
        page = visit()
        page.locator("#tab-photo").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#tab-batch")).to_be_focused()
        expect(page.locator("#batch")).to_be_visible()
        expect(page.locator("#photo")).to_be_hidden()
        page.reload()
        expect(page.locator("#batch")).to_be_visible()


class TestPhone:
    def test_fits_a_width_of_360_pixels(self, visit, photos):
        page = visit(width=360, height=740, device_scale_factor=2, has_touch=True, is_mobile=True)
        wide = "() => document.scrollingElement.scrollWidth"
        assert page.evaluate(wide) == 360
        start(page, photos / "coffee.jpg")
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate(wide) == 360
        # The photo stays in view beside the controls below it.
        page.locator("#download").scroll_into_view_if_needed()
        top = page.locator("#paper").bounding_box()
        assert top["y"] >= 0
        assert top["y"] + top["height"] < 740
        # A finger on the photo moves the border.
        page.touchscreen.tap(90, top["y"] + top["height"] / 2)
        now = int(page.locator("#split").get_attribute("aria-valuenow"))
        assert now == round(100 * (90 - top["x"]) / top["width"])
        small = page.evaluate(
            "() => [...document.querySelectorAll('button, select, summary, input[type=range], .segments label')]"
            ".filter((item) => item.checkVisibility()).map((item) => [item, item.getBoundingClientRect()])"
            ".filter(([, box]) => box.width < 24 || box.height < 24).map(([item]) => item.outerHTML)"
        )
        assert small == []
        page.locator("#tab-batch").click()
        assert page.evaluate(wide) == 360


class TestTheme:
    def test_is_chosen_and_kept(self, visit):
        page = visit(color_scheme="light")
        ground = "() => getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        button = page.locator("#theme")
        button.click()
        expect(button).to_have_accessible_name("Theme: light")
        button.click()
        dark = page.evaluate(ground)
        assert dark != light
        page.reload()
        assert page.evaluate(ground) == dark
        expect(button).to_have_accessible_name("Theme: dark")
