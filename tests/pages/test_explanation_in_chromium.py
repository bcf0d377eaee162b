"""The page of `lookcast explain` in Chromium: clicks and keys, accessibility, and no request."""

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from lookcast.generators.statistics import CELLS
from lookcast.inference.explain import explain
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.pages.drawings import sample_colors
from lookcast.pages.explanation import write_explanation
from tests.browser import PATIENCE
from tests.looks import ALL_PARTS, look, universal_look
from tests.samples import photo

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
CONTENT, STYLE = (photo(name, whole=True).float() for name in ("chelsea", "coffee"))


@pytest.fixture(scope="module")
def found():
    return explain(Stylizer(universal_look(heads=2, **ALL_PARTS), {}, "cpu"), CONTENT, STYLE)


@pytest.fixture(scope="module")
def file(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("explained") / "a.html"
    write_explanation(path, found, {"photo": "cat.jpg", "style": "cup.jpg", "checkpoint": "universal"})
    return path


@pytest.fixture
def visit(chromium, file):
    """Open a page: `visit(width=..., color_scheme=...)`. A fault of the script or any request fails the test."""
    contexts, requests, faults = [], [], []

    def open_page(width=1280, at=file, **options):
        context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        page.goto(at.as_uri())
        expect(page.locator("#where")).not_to_be_empty()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == len(contexts)


def click(page, row, column):
    photo = page.locator("#photo")
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    page.mouse.click(box["x"] + (column + 0.5) / CELLS * box["width"], box["y"] + (row + 0.5) / CELLS * box["height"])


def brightness_of(page, selector):
    """For each cell, how bright its heat map leaves it: 1 minus the opacity of the centre of the cell."""
    return page.evaluate(
        """(selector) => {
          const canvas = document.querySelector(`${selector} canvas`);
          const values = [];
          for (let row = 0; row < 16; row++) for (let column = 0; column < 16; column++) {
            const x = Math.floor((column + .5) * canvas.width / 16), y = Math.floor((row + .5) * canvas.height / 16);
            values.push(1 - canvas.getContext("2d").getImageData(x, y, 1, 1).data[3] / 255);
          }
          return values;
        }""",
        selector,
    )


class TestCells:
    def test_a_click_shows_where_the_cell_looked(self, visit, found):
        page = visit()
        for row, column in ((2, 3), (15, 0), (8, 15)):
            click(page, row, column)
            expect(page.locator("#where")).to_have_text(f"row {row + 1}, column {column + 1}")
            weights = found.stages.attention()[0, CELLS * row + column].numpy()
            # The more weight, the less a cell is darkened: 1 - .72 (1 - sqrt(weight / peak)).
            expected = 1 - 0.72 * (1 - np.sqrt(weights / weights.max()))
            # Weights are rounded by half of 1/255 of the peak, which changes a root by at most .044; opacity to 1/255.
            assert np.abs(brightness_of(page, "#attention") - expected).max() < 0.72 * 0.05 + 2 / 255
            mark = page.locator(".mark").bounding_box()
            box = page.locator("#photo").bounding_box()
            assert mark["x"] - box["x"] == pytest.approx(column / CELLS * box["width"], abs=1)
            assert mark["y"] - box["y"] == pytest.approx(row / CELLS * box["height"], abs=1)

    def test_the_keyboard_moves_the_cell(self, visit):
        page = visit()
        for _ in range(4):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "photo":
                break
        expect(page.locator("#photo")).to_be_focused()
        for key in ("ArrowUp", "ArrowUp", "ArrowLeft", "ArrowDown"):
            page.keyboard.press(key)
        expect(page.locator("#where")).to_have_text("row 8, column 8")
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        expect(page.locator("#where")).to_have_text("row 8, column 16")

    def test_numbers_and_patches_are_those_of_slicing(self, visit, found):
        page = visit()
        row, column, level = 4, 6, 3
        click(page, row, column)
        page.locator("#transforms input").nth(level).check()
        shown = [
            float(text.replace("\N{MINUS SIGN}", "-")) for text in page.locator("#numbers td").all_inner_texts() if text
        ]
        coefficients = found.grid[0, :, level, row, column]
        assert shown == pytest.approx(coefficients.tolist(), abs=0.00051)  # three digits
        samples = sample_colors(found.grid.shape[2])[level]
        for n, color in enumerate(samples):
            flat = color.view(1, 3, 1, 1).expand(1, 3, 3 * CELLS, 3 * CELLS)
            applied = apply_grid(found.grid, flat)[0, :, 3 * row + 1, 3 * column + 1].clamp(0, 1)
            drawn = page.locator("#transforms tbody tr").nth(level).locator(".patch").nth(n + 1)
            colors = drawn.evaluate("(patch) => getComputedStyle(patch).backgroundImage.match(/rgb\\([^)]*\\)/g)")
            values = [[int(value) for value in text[4:-1].split(",")] for text in colors]
            expected = torch.stack([color, applied]) * 255
            assert (torch.tensor(values) - expected).abs().max() <= 0.52  # rounded to levels

    def test_the_mean_color_after_each_stage(self, visit, found):
        page = visit()
        click(page, 5, 9)
        chips = page.locator("#chips .chip")
        assert chips.count() == 8
        for n, color in enumerate(found.step_colors().values()):
            text = chips.nth(n).evaluate("(chip) => getComputedStyle(chip).backgroundColor")
            drawn = torch.tensor([int(value) for value in text[4:-1].split(",")])
            assert (drawn - 255 * color[:, 5, 9]).abs().max() <= 0.52

    def test_another_brightness_shows_another_surface(self, visit, found):
        page = visit()
        click(page, 7, 7)
        for level in (1, 5):
            page.locator("#transforms input").nth(level).check()
            weights = found.stages.grounds.weights[0, level, 7 * CELLS + 7].numpy()
            expected = 1 - 0.72 * (1 - np.sqrt(weights / weights.max()))
            assert np.abs(brightness_of(page, "#grounds") - expected).max() < 0.72 * 0.05 + 2 / 255
            share = found.stages.grounds.openness[0, level, 7 * CELLS + 7].item()
            assert f"{100 * share:.0f} %" in page.locator("#open").inner_text() or share < 0.0995


class TestPage:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing(self, visit, scheme):
        found = Axe().run(visit(color_scheme=scheme), options=RULES).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []

    def test_a_phone_shows_all_of_it(self, visit):
        page = visit(width=360)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        click(page, 1, 1)
        expect(page.locator("#where")).to_have_text("row 2, column 2")

    def test_a_single_look(self, visit, tmp_path):
        write_explanation(
            tmp_path / "b.html", explain(Stylizer(look(), {}, "cpu"), CONTENT), {"photo": "a", "checkpoint": "b"}
        )
        page = visit(at=tmp_path / "b.html")
        assert page.locator("#attention").count() == 0
        page.locator("#photo").press("ArrowDown")
        expect(page.locator("#where")).to_have_text("row 4, column 3")
        assert page.locator("#numbers td").last.inner_text() != ""
        assert Axe().run(page, options=RULES).response["violations"] == []

    def test_every_picture_is_drawn(self, visit):
        page = visit()
        widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
        assert len(widths) == 3 + 4 + 3 + 6 + 2 + 7 + 1 + 8
        assert min(widths) > 0
