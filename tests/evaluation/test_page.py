import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from lookcast.evaluation.evaluate_pairs import PairResult, Skipped
from lookcast.evaluation.page import render_page
from lookcast.evaluation.report_files import PUBLISHED, build_report

NASTY = "</title><script>alert(1)</script>{{PAIRS}} \"&'#?%"
VOID = {"meta", "link", "img", "br"}


def figures(value):
    return dict.fromkeys(("edge_ssim", "gram", "swd", "affine", "invented", "feature_distance"), value)


def result(name="a", gram=0.25, seconds=None):
    output = {**figures(0.75), "gram": gram}
    pictures = {column: f"pictures/{column}/{name}.jpg" for column in ("content", "style", "dpst", "output")}
    return PairResult(
        name, False, {"content": figures(1.0), "dpst": figures(0.5), "output": output}, pictures, seconds, 1
    )


def report(*results, skipped=(), checkpoint=None, **config):
    config = {"pairs": "pairs", "outputs": "out", **config}
    return build_report(results, skipped, config, checkpoint, "the teacher")


class Parsed(HTMLParser):
    """Tags of a page; fails where they are not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


class TestRenderPage:
    def test_is_whole_and_asks_nothing_from_outside(self):
        page = render_page(report(result(), result("b")))
        tags = Parsed(page).tags
        links = [value for _, given in tags for key, value in given.items() if key in ("src", "href")]
        assert len(links) == 1 + 2 * 2 * 4
        assert all(link == "data:," or link.startswith("pictures/") for link in links)
        assert "http" not in page
        assert "url(" not in page
        assert "@import" not in page
        assert "{{" not in page

    def test_texts_are_escaped(self):
        made = report(result(NASTY), skipped=[Skipped(NASTY, NASTY)], outputs=NASTY)
        parsed = Parsed(render_page(made))
        assert [tag for tag, _ in parsed.tags].count("script") == 1
        assert parsed.text.count("<script>alert(1)</script>") == 2 + 1 + 1 + 3  # skipped, outputs, its row, three dots
        assert all("alert" not in key for _, given in parsed.tags for key in given)

    def test_every_pair_is_a_dot_and_every_mean_a_larger_one(self):
        page = render_page(report(result(), result("b", gram=0.75)))
        assert page.count('class="dot"') == 6
        assert page.count('class="mean"') == 3
        assert page.count('class="published"') == len(PUBLISHED)
        for title in ("a, output: Gram 0.250, edge SSIM 0.750", "mean of output: Gram 0.500, edge SSIM 0.750"):
            assert f"<title>{title}</title>" in page
        for entry in PUBLISHED:
            assert f"{entry.name} (published pairs): Gram {entry.figures['gram']:.3f}" in page

    def test_a_pair_without_a_figure(self):
        made = report(result(gram=float("nan")), result("b"))
        assert made["pairs"][0]["figures"]["output"]["gram"] is None
        page = render_page(made)
        assert page.count('class="dot"') == 5
        assert '<td data-value=""><b>–</b>' in page  # noqa: RUF001
        assert made["means"]["output"]["gram"] == 0.25
        json.dumps(made, allow_nan=False)

    def test_checkpoint(self):
        header = {"generator": {"name": "bilateral", "arguments": {}}, "metrics": {"val/edge_ssim": 0.875}}
        made = report(result(seconds=1.5), checkpoint=header, checkpoint_path="x", masks=True, device="cpu")
        made["config"]["checkpoint"] = "look.safetensors"
        text = Parsed(render_page(made)).text
        for said in ("look.safetensors (bilateral generator)", "its val/edge_ssim0.875", "1.50, at full resolution"):
            assert said in text

    def test_says_where_the_published_figures_come_from(self):
        text = " ".join(Parsed(render_page(report(result()))).text.split())
        assert "the authors' 59 pairs, the last one for six of them" in text
        assert "The pairs of this report are others or a part of them" in text

    @pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
    def test_a_click_sorts(self, tmp_path):
        made = report(result("b", 0.5), result("a10", 0.125), result("a9", float("nan")), result("c", 0.25))
        page = render_page(made)
        script = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
        body = re.search(r'class="pairs">(.*?)</table>', page, re.DOTALL)[1]
        rows = [
            re.findall(r'<t[hd](?: scope="row")?(?: data-value="([^"]*)")?>', row) for row in body.split("<tr>")[2:]
        ]
        keys = re.findall(r'<th(?: data-key="(\w+)" aria-sort="none")?>', body.split("</thead>")[0])
        # As much of a document as the script touches.
        stub = f"""
        const cell = (key) => ({{dataset: key ? {{key}} : {{}}, sort: "none", getAttribute() {{ return this.sort }},
          setAttribute(_, value) {{ this.sort = value }},
          querySelector() {{ return {{addEventListener: (_, f) => {{ this.click = f }}}} }}}});
        const heads_ = {json.dumps(keys)}.map((key) => {{ const c = cell(key);
          c.querySelector = () => ({{addEventListener: (_, f) => {{ c.click = f }}}}); return c }});
        const rows_ = {json.dumps(rows)}.map((values) => ({{cells: values.map((value) => ({{dataset: {{value}}}}))}}));
        const body_ = {{rows: rows_, append(...rows) {{ this.rows = rows }}}};
        globalThis.document = {{querySelector: () => ({{tHead: {{rows: [{{cells: heads_}}]}}, tBodies: [body_]}})}};
        const names = () => body_.rows.map((row) => row.cells[0].dataset.value).join(" ");
        const click = (key) => {{ heads_.find((c) => c.dataset.key === key).click(); console.log(names()) }};
        {script}
        for (const key of ["gram", "gram", "pair", "pair"]) click(key);
        """
        (tmp_path / "page.js").write_text(stub)
        ran = subprocess.run([shutil.which("node"), tmp_path / "page.js"], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines() == ["a10 c b a9", "b c a10 a9", "a9 a10 b c", "c b a10 a9"]
