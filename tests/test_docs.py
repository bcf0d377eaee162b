"""Run the code of the README and of the docs, build the site, and compare names on the pages with the code."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

import lookcast
from lookcast import cli
from tests.markdown import FENCE, LANGUAGES, PAGES, ROOT, anchors, blocks, commands, links, prose, spans
from tests.page_commands import PLACEHOLDERS, assert_stylized, check_script, is_slow, run, save_workspace
from tests.runs import composed


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder for the commands. All pages share the folder, and so their outputs."""
    return save_workspace(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def inside(workspace, monkeypatch):
    """The workspace as the current folder."""
    monkeypatch.chdir(workspace)
    return workspace


@pytest.fixture(scope="module")
def done():
    """The command lines that have run, with placeholders replaced. A command runs once, however many pages show it."""
    return set()


MADE = {"docs/tour.md", "docs/modules.md"}
"""Pages that `scripts/docs_pages.py` makes when the site is built."""
FOREIGN = {
    "--cfg",
    "--logdir",
    "--shell",
    "--strict",
    "--help",
    "--signal",
    "--lowest",
    "--processors",
    "--against",
    "--version",
}
"""Flags of Hydra, TensorBoard, argcomplete, MkDocs, SLURM and of the project's scripts."""
SHELL_PAGES = [name for name, text in PAGES.items() if blocks(text, "bash")]
PYTHON_PAGES = [name for name, text in PAGES.items() if blocks(text, "python")]


class TestBlocks:
    @pytest.mark.parametrize("page", PAGES)
    def test_languages(self, page):
        assert {language for language, _ in FENCE.findall(PAGES[page])} <= LANGUAGES

    @pytest.mark.parametrize("page", SHELL_PAGES)
    def test_commands(self, page, inside, done, capsys):
        for words in commands(PAGES[page]):
            if is_slow(words):
                cli.COMMANDS["export"].build_parser().parse_args([PLACEHOLDERS.get(word, word) for word in words[2:]])
            elif tuple(words) not in done:
                run(words, inside)
                done.add(tuple(words))

    @pytest.mark.nightly
    @pytest.mark.parametrize("page", [page for page in SHELL_PAGES if any(map(is_slow, commands(PAGES[page])))])
    def test_slow_commands(self, page, inside, capsys):
        for words in filter(is_slow, commands(PAGES[page])):
            run(words, inside)

    @pytest.mark.parametrize("page", PYTHON_PAGES)
    def test_python(self, page, inside, capsys):
        names = {}
        for block in blocks(PAGES[page], "python"):  # in the order of the page: later blocks use earlier names
            (inside / "stylized.jpg").unlink(missing_ok=True)
            exec(compile(block, page, "exec"), names)
            if "stylized.jpg" in block:
                assert_stylized(inside / "stylized.jpg")


class TestNames:
    @pytest.mark.parametrize("page", PAGES)
    def test_links_have_targets(self, page):
        for link in links(PAGES[page]):
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            name = target.resolve().relative_to(ROOT).as_posix()
            if name in MADE:
                continue
            assert target.exists(), link
            if anchor:
                assert anchor in anchors(PAGES[name]), link

    def test_flags_exist(self, capsys):
        for name in set(cli.COMMANDS) - {"train"}:  # Hydra has its own help
            with pytest.raises(SystemExit):
                cli.main([name, "--help"])
        known = set(re.findall(r"--[\w-]+", capsys.readouterr().out)) | FOREIGN
        flags = set()
        for page, text in PAGES.items():
            for words in map(str.split, spans(prose(text))):
                if words[0] in {"python", "bash"} and words[1].startswith("scripts/"):
                    check_script(words[1:])
                else:
                    flags |= {(page, word.partition("=")[0]) for word in words if word.startswith("--")}
        assert len(flags) >= 40
        assert {(page, flag) for page, flag in flags if flag not in known} == set()

    @pytest.mark.parametrize("page", PAGES)
    def test_named_files_exist(self, page):
        package = Path(lookcast.__file__).parent
        for span in spans(prose(PAGES[page])):
            made = span.startswith("reports/")  # scripts/dependencies.sh writes these files
            if not made and re.fullmatch(r"(\w+/)+\w+\.(py|yaml|sh|sbatch|md|json|safetensors)", span):
                assert any((folder / span).is_file() for folder in (ROOT, package)), span

    @pytest.mark.parametrize("page", [page for page in PAGES if "data." in PAGES[page]])
    def test_config_keys_exist(self, page):
        cfg = composed("style=x", "data.photos=x")
        words = [word.partition("=")[0] for span in spans(PAGES[page]) for word in span.split()]
        keys = {word for word in words if re.fullmatch(r"\w+(\.\w+)+", word) and word.partition(".")[0] in cfg}
        for key in keys:
            assert OmegaConf.select(cfg, key, default="missing") != "missing", key


class Requests(HTMLParser):
    """The addresses that a page loads by itself: scripts, styles, pictures, fonts, frames, media; not its links."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag != "a" and given.get("rel") not in {"canonical", "next", "prev", "edit"}:
            self.loaded += [given[key] for key in ("src", "href", "srcset", "data", "poster") if given.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning of MkDocs is an error."""
    out = tmp_path_factory.mktemp("site")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return out


@pytest.mark.slow
class TestSite:
    def test_every_page_is_built(self, site):
        for page in {name for name in PAGES if name.startswith("docs/")} | MADE:
            assert (site / page.removeprefix("docs/")).with_suffix(".html").is_file(), page

    def test_api_is_documented(self, site):
        text = (site / "api.html").read_text()
        for name in ("lookcast.inference.stylizer.load", "lookcast.fitting.look_fit.LookFit"):
            assert f'id="{name}"' in text

    def test_nothing_is_requested_from_other_hosts(self, site):
        pages = list(site.rglob("*.html"))
        assert len(pages) >= 25
        for page in pages:
            parser = Requests()
            parser.feed(page.read_text())
            assert len(parser.loaded) >= 4, page
            for address in parser.loaded:
                assert not re.match(r"(\w+:)?//", address), (page, address)
        for style in site.rglob("*.css"):
            assert not re.search(r"url\([\"']?(\w+:)?//|@import", style.read_text()), style

    def test_notebook_is_a_page_and_a_file(self, site):
        assert "AutoMasks" in (site / "tour.html").read_text()
        assert (site / "tour.ipynb").is_file()


class TestFigures:
    def test_attention(self, tmp_path):
        command = [sys.executable, ROOT / "scripts/docs_figures.py", "attention", "-o", tmp_path]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        assert Image.open(tmp_path / "attention.webp").width > 1000

    def test_every_figure_is_there(self):
        shown = {link for text in PAGES.values() for link in links(text) if "figures/" in link}
        drawn = {path.stem for path in (ROOT / "docs/figures").glob("*.webp")}
        assert {Path(link).stem for link in shown} == drawn

    @pytest.mark.nightly
    def test_all(self, tmp_path):
        command = [sys.executable, ROOT / "scripts/docs_figures.py", "-o", tmp_path]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        drawn = {path.name for path in (ROOT / "docs/figures").glob("*.webp")}
        assert {path.name for path in tmp_path.iterdir()} == drawn
