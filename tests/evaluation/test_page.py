import json
import re
import shutil
import subprocess

import pytest

from lookcast.evaluation.evaluate_pairs import PairResult, Skipped
from lookcast.evaluation.page import render_page
from lookcast.evaluation.report_files import build_report, published_methods
from tests.html_pages import ParsedPage

NASTY = "</title><script>alert(1)</script>{{ report }}{% raw %} \"&'#?%"
PHOTOS = ("content", "style", "content_mask", "style_mask", "dpst", "output")


def figures(value):
    return dict.fromkeys(("edge_ssim", "gram", "swd", "affine", "invented", "feature_distance"), value)


def result(name="a", gram=0.25, seconds=None):
    output = {**figures(0.75), "gram": gram}
    pictures = {column: f"pictures/{column}/{name}.jpg" for column in PHOTOS}
    return PairResult(
        name, False, {"content": figures(1.0), "dpst": figures(0.5), "output": output}, pictures, seconds, 1
    )


def report(*results, skipped=(), header=None, **config):
    config = {"pairs": "pairs", "outputs": "out", **config}
    return build_report(results, skipped, config, header, "the teacher")


class TestRenderPage:
    def test_is_well_formed_and_without_outside_resources(self):
        page = render_page(report(result(), result("b")))
        tags = ParsedPage(page).tags
        links = [value for _, given in tags for key, value in given.items() if key in ("src", "href")]
        assert len(links) == 1 + 2 * 2 * len(PHOTOS)
        assert all(link == "data:," or link.startswith("pictures/") for link in links)
        assert "http" not in page
        assert "url(" not in page
        assert "@import" not in page
        assert "{{" not in page
        assert "{%" not in page

    def test_texts_are_escaped(self):
        made = report(result(NASTY), skipped=[Skipped(NASTY, NASTY)], outputs=NASTY)
        parsed = ParsedPage(render_page(made))
        assert [tag for tag, _ in parsed.tags].count("script") == 1
        # Two in the list of skipped pairs, three as the outputs (title, heading, facts), one heading, three dots.
        assert parsed.text.count("<script>alert(1)</script>") == 2 + 3 + 1 + 3
        assert all("alert" not in key for _, given in parsed.tags for key in given)

    def test_every_pair_is_a_dot_and_every_mean_a_larger_one(self):
        page = render_page(report(result(), result("b", gram=0.75)))
        assert page.count('class="dot"') == 6
        assert page.count('class="mean"') == 3
        assert page.count('class="published"') == len(published_methods())
        for title in ("a, output: Gram 0.250, edge SSIM 0.750", "mean of output: Gram 0.500, edge SSIM 0.750"):
            assert f"<title>{title}</title>" in page
        for entry in published_methods():
            assert f"{entry['name']} (published pairs): Gram {entry['figures']['gram']:.3f}" in page

    def test_a_pair_without_a_figure(self):
        made = report(result(gram=float("nan")), result("b"))
        assert made["pairs"][0]["figures"]["output"]["gram"] is None
        page = render_page(made)
        assert page.count('class="dot"') == 5
        assert 'data-gram=""' in page
        assert '<td class="output">–</td>' in page  # noqa: RUF001
        assert made["means"]["output"]["gram"] == 0.25
        json.dumps(made, allow_nan=False)

    def test_checkpoint(self):
        header = {"generator": {"name": "bilateral", "arguments": {}}, "metrics": {"val/edge_ssim": 0.875}}
        config = {"checkpoint": "look.safetensors", "masks": True, "device": "cpu", "max_side": None}
        text = ParsedPage(render_page(report(result(seconds=1.5), header=header, **config))).text
        for said in (
            "Evaluation of look.safetensors",
            "1 pair of pairs · stylized with masks where a pair has both · 1.50 s per photo on cpu",
            "look.safetensors (bilateral generator)",
            "stylized atfull resolution",
            "val/edge_ssim0.875",
        ):
            assert said in text
        assert (
            "512 px on the longer side, at most"
            in ParsedPage(render_page(report(result(seconds=1.5), header=header, **config | {"max_side": 512}))).text
        )

    def test_validation_figures_of_several_stages(self):
        header = {"metrics": {"stages": [{"val/gram": 0.12345678}, {"val/gram": 3, "val/swd": 1e-7}]}}
        config = {"checkpoint": "x", "masks": False, "device": "cpu"}
        text = ParsedPage(render_page(report(result(), header=header, **config))).text
        assert "val/gram0.12353" in text
        assert "val/swd1e-07" in text
        assert "stylized without masks" in text
        config |= {"masks": True, "auto_masks": "clusters"}
        assert (
            "stylized with automatic masks (clusters)"
            in ParsedPage(render_page(report(result(), header=header, **config))).text
        )

    def test_pictures_and_means_come_before_folded_details(self):
        header = {"metrics": {"val/edge_ssim": 0.875}}
        config = {"checkpoint": "x", "masks": True, "device": "cpu"}
        page = render_page(report(result(), header=header, **config))
        assert page.index("<table>") < page.index("<img") < page.index("<svg") < page.index("val/edge_ssim")
        folded = page[page.rindex("<details", 0, page.index("val/edge_ssim")) :]
        assert "val/edge_ssim" in folded[: folded.index("</details>")]

    def test_the_masks_of_both_photos_are_shown(self):
        parsed = ParsedPage(render_page(report(result())))
        assert {"a: content mask", "a: style mask"} <= {given["alt"] for tag, given in parsed.tags if tag == "img"}

    def test_published_methods_are_told_apart_from_the_pairs_of_the_report(self):
        text = " ".join(ParsedPage(render_page(report(result()))).text.split())
        assert "Diamonds are means of published methods over the pairs of Deep Photo Style Transfer." in text
        for entry in published_methods():
            assert f"{entry['name']} {entry['figures']['edge_ssim']:.3f}".replace(" ", "") in text.replace(" ", "")

    @pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
    def test_a_click_sorts(self, tmp_path):
        made = report(result("b", 0.5), result("a10", 0.125), result("a9", float("nan")), result("c", 0.25))
        page = render_page(made)
        script = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
        tags = ParsedPage(page).tags
        keys = [given["data-key"] for tag, given in tags if tag == "button"]
        pairs = [
            {key.removeprefix("data-"): value for key, value in given.items()}
            for tag, given in tags
            if tag == "article"
        ]
        assert keys == ["pair", "edge_ssim", "gram", "swd", "affine", "invented", "feature_distance"]
        assert all(pair.keys() >= set(keys) for pair in pairs)
        # A stand-in for the parts of a document that the script uses.
        stub = f"""
        const buttons_ = {json.dumps(keys)}.map((key) => ({{dataset: {{key}}, setAttribute() {{}},
          addEventListener(_, f) {{ this.click = f }}}}));
        const list_ = {{children: {json.dumps(pairs)}.map((dataset) => ({{dataset}})),
          append(...children) {{ this.children = children }}}};
        const sort_ = {{hidden: true}};
        globalThis.document = {{querySelectorAll: () => buttons_,
          querySelector: (name) => name === ".pairs" ? list_ : sort_}};
        {script}
        if (sort_.hidden) throw "the buttons stay hidden";
        for (const key of ["gram", "gram", "pair", "pair"]) {{
          buttons_.find((button) => button.dataset.key === key).click();
          console.log(list_.children.map((pair) => pair.dataset.pair).join(" "));
        }}
        """
        (tmp_path / "page.js").write_text(stub)
        ran = subprocess.run([shutil.which("node"), tmp_path / "page.js"], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines() == ["a10 c b a9", "b c a10 a9", "a9 a10 b c", "c b a10 a9"]
