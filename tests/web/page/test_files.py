"""The files of the page, without a browser."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lookcast.web.app import PAGE

FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


class Parser(HTMLParser):
    """Collects the tags of the page, with their attributes."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def tags():
    parser = Parser()
    parser.feed((PAGE / "index.html").read_text())
    return parser.tags


def names(path: Path) -> str:
    return path.relative_to(PAGE).as_posix()


class TestFiles:
    @pytest.mark.parametrize("path", FILES, ids=names)
    def test_has_one_idea(self, path):
        lines = path.read_text().splitlines()
        assert len(lines) <= 250
        assert max(map(len, lines)) <= 120

    @pytest.mark.parametrize("path", FILES, ids=names)
    def test_names_no_other_server(self, path):
        text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert re.findall(r"\b(?:https?|wss?|ftp)://|[\"'(]//", text) == []

    @pytest.mark.parametrize("path", SCRIPTS, ids=names)
    def test_writes_text_and_no_markup(self, path):
        banned = r"\b(innerHTML|outerHTML|insertAdjacentHTML|eval|document\.write)\b|new Function"
        assert re.findall(banned, path.read_text()) == []

    def test_every_file_is_used(self, tags):
        used = {"index.html"}
        for tag, attributes in tags:
            if tag in ("script", "link", "img"):
                used.add(attributes.get("src") or attributes.get("href"))
        for path in SCRIPTS:
            used |= set(re.findall(r'from "\./([^"]+)"', path.read_text()))
        assert used == {names(path) for path in FILES}


class TestIndex:
    def test_has_no_inline_script_and_style(self, tags):
        assert all(attributes.get("src") for tag, attributes in tags if tag == "script")
        assert "style" not in {tag for tag, _ in tags}
        found = {name for _, attributes in tags for name in attributes}
        assert not {name for name in found if name == "style" or name.startswith("on")}

    def test_ids_are_unique(self, tags):
        ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(ids) == len(set(ids))

    def test_scripts_name_elements_that_exist(self, tags):
        ids = {attributes["id"] for _, attributes in tags if "id" in attributes}
        for path in SCRIPTS:
            assert set(re.findall(r'\$\("([^"]+)"\)', path.read_text())) <= ids, path.name
