"""Reading of the Markdown pages: README, CONTRIBUTING and the pages of `docs`."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in (README, *DOCS)}
"""Texts of the README and of the docs, by path."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"bash", "python", "text", "bibtex"}


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks in a language."""
    return [block for name, block in FENCE.findall(text) if name == language]


def commands(text: str) -> list[list[str]]:
    """Return the commands of the shell blocks as words, without comments. A line that ends in a backslash goes on."""
    lines = [line for block in blocks(text, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", text)


def rows(heading: str, text: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE)
    assert table, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def spans(text: str) -> list[str]:
    """Return the code spans of a text, without their backquotes."""
    return re.findall(r"`([^`\n]+)`", text)


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures that do not lead to other hosts."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)) if not link.startswith(("http", "mailto"))]


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
