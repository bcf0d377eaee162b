import base64
import json
import re

import numpy as np
import pytest
import torch

from lookcast.checks import InputError
from lookcast.encoders.scenes import SCENES
from lookcast.generators import FittedGenerator
from lookcast.generators.statistics import CELLS
from lookcast.inference.explain import explain
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.regions import label_shares
from lookcast.pages.drawings import sample_colors
from lookcast.pages.explanation import render_explanation, write_explanation
from tests.html_pages import ParsedPage
from tests.looks import ALL_PARTS, baked_look, look, universal_look
from tests.samples import photo, rand

CONTENT, STYLE = (photo(name, whole=True).float() for name in ("chelsea", "coffee"))
FACTS = {"photo": "cat.jpg", "style": "cup.jpg", "checkpoint": "universal"}
NASTY = "</title><script>alert(1)</script>{{ data }}{% raw %} \"&'#?%"
MIB = 1 << 20


def half_masks():
    """Label 4 on the upper half of the content; the style lacks it, and has label 1 only."""
    content = torch.ones(CONTENT.shape[2:], dtype=torch.uint8)
    content[: len(content) // 2] = 4
    return content, torch.ones(STYLE.shape[2:], dtype=torch.uint8)


@pytest.fixture(scope="module")
def found():
    return explain(Stylizer(universal_look(heads=2, **ALL_PARTS), {}, "cpu"), CONTENT, STYLE)


@pytest.fixture(scope="module")
def page(found):
    return render_explanation(found, FACTS)


def data_of(page):
    return json.loads(re.search(r"const data = (.*);", page)[1])


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def levels(text):
    return np.frombuffer(base64.b64decode(text), np.uint8) / 255


def text_of(page):
    return " ".join(ParsedPage(page[: page.index("<script>")] + "</body></html>").text.split())


class TestRenderExplanation:
    def test_is_well_formed_and_without_outside_resources(self, page):
        tags = ParsedPage(page).tags
        links = [value for _, given in tags for key, value in given.items() if key in ("src", "href")]
        assert all(link.startswith("data:") for link in links)
        # Photo, style, result; two thumbnails, two regions; six other steps, seven changes; guide, eight slices.
        assert len([link for link in links if link.startswith("data:image/")]) == 3 + 4 + 6 + 7 + 1 + 8
        # The photo and the style are drawn on, and the photo and the result are steps.
        copies = [given["data-copy"] for _, given in tags if "data-copy" in given]
        assert copies == ["content", "style", "content", "content", "result"]
        assert set(copies) <= {given["id"] for tag, given in tags if tag == "img" and "id" in given}
        policy = next(given["content"] for _, given in tags if given.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'; img-src data:;")
        assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
        assert "url(" not in page
        assert "{%" not in page

    def test_every_picture_and_control_has_a_name(self, page):
        for tag, given in ParsedPage(page).tags:
            assert tag != "img" or "alt" in given
            assert given.get("role") not in ("img", "application") or "aria-label" in given

    def test_texts_are_escaped(self, found):
        parsed = ParsedPage(render_explanation(found, {"photo": NASTY, "style": NASTY, "checkpoint": NASTY}))
        assert [tag for tag, _ in parsed.tags].count("script") == 1
        # Photo and style in the title, the heading and the facts; the checkpoint in the facts.
        assert parsed.text.count("<script>alert(1)</script>") == 2 * 3 + 1

    def test_the_numbers_are_those_of_the_prediction(self, page, found):
        data = data_of(page)
        depth = found.grid.shape[2]
        assert (data["depth"], data["rows"], data["columns"]) == (depth, CELLS, CELLS)
        assert np.array_equal(floats(data["grid"]), found.grid.flatten().numpy())
        assert np.allclose(data["samples"], sample_colors(depth), rtol=0, atol=1e-7)
        # Levels of a heat map are rounded to 1/255 of the peak of the row.
        attention = levels(data["attention"]["levels"]).reshape(256, 256) * floats(data["attention"]["peak"])[:, None]
        assert np.abs(attention - found.stages.attention()[0].numpy()).max() <= attention.max() / 255
        grounds = levels(data["grounds"]["levels"]).reshape(depth, 256, 256)
        peak = floats(data["grounds"]["peak"]).reshape(depth, 256, 1)
        assert np.abs(grounds * peak - found.stages.grounds.weights[0].numpy()).max() <= peak.max() / 255
        assert np.array_equal(floats(data["grounds"]["openness"]), found.stages.grounds.openness.flatten().numpy())
        mix = floats(data["attention"]["mix"]).reshape(3, 256)
        assert np.abs(mix.sum(0) - 1).max() < 1e-6  # four float32 shares
        assert np.allclose(mix[1:], found.stages.mix[0, 2:], rtol=0, atol=0)
        shares, colors = found.cell_colors()
        assert np.array_equal(floats(data["shares"]), shares.flatten().numpy())
        there = shares.flatten(1).numpy() > 0.001
        shown = levels(data["colors"]).reshape(depth, 256, 3)
        assert np.abs(shown - colors.flatten(2).transpose(1, 2).numpy())[there].max() <= 0.5 / 255 + 1e-6
        for text, color in zip(data["steps"], found.step_colors().values(), strict=True):
            assert np.abs(levels(text).reshape(256, 3) - color.flatten(1).T.numpy()).max() <= 0.5 / 255 + 1e-6

    def test_a_shown_transform_moves_a_color_as_slicing_does(self, page):
        data = data_of(page)
        depth = data["depth"]
        grid = torch.from_numpy(floats(data["grid"]).copy()).view(12, depth, CELLS, CELLS)
        for level in range(depth):
            for color in torch.tensor(data["samples"][level]):
                rows = grid[:, level].view(3, 4, CELLS, CELLS)
                shown = torch.einsum("icyx,c->iyx", rows, torch.cat([color, torch.ones(1)]))
                flat = color.view(1, 3, 1, 1).expand(1, 3, 3 * CELLS, 3 * CELLS)
                applied = apply_grid(grid[None], flat)[0, :, 1::3, 1::3]  # the centres of the cells
                # The luma of the colour is rounded by 2^-22 of 8 depths, whose coefficients differ by less than 8.
                assert (shown - applied).abs().max() < 1e-4

    def test_masks(self, found):
        stylizer = Stylizer(universal_look(heads=2, **ALL_PARTS), {}, "cpu")
        text = text_of(render_explanation(explain(stylizer, CONTENT, STYLE, *half_masks()), FACTS))
        assert "The masks divide both photos" in text
        assert "red: 50 % and 0 % (not in the style: it takes the look of the whole style photo)" in text
        assert "green: 50 % and 100 %" in text
        assert "256 × 256 pixels each" in text  # noqa: RUF001
        plain = text_of(render_explanation(found, FACTS))
        assert "the network divides both photos into regions itself, and names what it believes to see" in plain
        things = float(label_shares(found.stages.content_regions)[0, SCENES.index("thing")])
        assert things > 0.1  # the photo shows a cat
        assert f"thing: {100 * things:.0f} %" in plain
        assert "not in the style" not in plain

    def test_a_fixed_style(self):
        text = text_of(render_explanation(explain(Stylizer(baked_look(STYLE), {}, "cpu"), CONTENT), {"photo": "a"}))
        assert "How a got its look" in text
        assert "the mean colours that the checkpoint stores of its style photo" in text
        assert "where the cell looked in the style" in text

    def test_a_single_look_has_no_attention(self):
        page = render_explanation(explain(Stylizer(look(), {}, "cpu"), CONTENT), {"photo": "a"})
        text = text_of(page)
        assert "This checkpoint has a single look." in text
        assert "no regions and no attention to show" in text
        assert "64 × 64 pixels, whatever the size" in text  # noqa: RUF001
        assert "where the cell looked" not in text
        assert data_of(page)["attention"] is data_of(page)["grounds"] is None
        assert page.count('class="slice"') == 4
        assert page.count("+ the look") == 3  # a chip, the title of its step and the text for its picture

    def test_without_shared_grounds(self):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        page = render_explanation(explain(stylizer, CONTENT, STYLE), FACTS)
        assert data_of(page)["grounds"] is None
        assert len(floats(data_of(page)["attention"]["mix"])) == 256
        assert "cells of the same surface" not in text_of(page)

    def test_a_fitted_grid(self):
        fitted = FittedGenerator.from_grid(identity_grid(1, 2, 3, 4) + 0.1 * rand(1, 12, 2, 3, 4).float())
        page = render_explanation(explain(Stylizer(fitted, {}, "cpu"), CONTENT), {"photo": "a"})
        assert "this checkpoint holds one finished grid" in text_of(page)
        assert (data_of(page)["rows"], data_of(page)["columns"]) == (3, 4)

    def test_the_largest_page(self):
        """Noise is the worst case of JPEG, and the largest grid the worst case of the numbers.

        Each stage adds two pictures.
        """
        noise = rand(1, 3, 640, 640).float()
        stylizer = Stylizer(universal_look(heads=2, **ALL_PARTS), {}, "cpu")
        assert len(render_explanation(explain(stylizer, noise, noise.flip(1)), FACTS)) < 6 * MIB
        grid = identity_grid(1, 16, 32, 32) + 0.1 * rand(1, 12, 16, 32, 32).float()
        largest = explain(Stylizer(FittedGenerator.from_grid(grid), {}, "cpu"), noise)
        assert len(render_explanation(largest, {"photo": "a"})) < 5 * MIB
        larger = largest._replace(grid=identity_grid(1, 17, 32, 32))
        with pytest.raises(
            InputError, match=r"^checkpoint: expected a grid of at most 16384 cells for a page, got 17408"
        ):
            render_explanation(larger, {"photo": "a"})


class TestWriteExplanation:
    def test_known_value(self, found, page, tmp_path):
        write_explanation(tmp_path / "new" / "a.html", found, FACTS)
        assert (tmp_path / "new" / "a.html").read_text(encoding="utf-8") == page
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.html"]

    def test_names_that_are_not_utf_8(self, found, tmp_path):
        name = b"caf\xe9\n.jpg".decode(errors="surrogateescape")
        write_explanation(tmp_path / "a.html", found, {"photo": name})
        assert r"How caf\udce9\n.jpg got its look" in (tmp_path / "a.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize("name", ["a.jpg", "a", "html"])
    def test_rejects_other_names(self, found, tmp_path, name):
        with pytest.raises(InputError, match=r"explain writes a page; its name ends with \.html"):
            write_explanation(tmp_path / name, found, FACTS)
        assert list(tmp_path.iterdir()) == []
