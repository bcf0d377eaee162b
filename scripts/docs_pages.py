"""Hook of MkDocs that makes two pages: `tour.md` from the notebook, and `modules.md` from the modules' docstrings."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

MODULES = """# Every module

The first line of each module's docstring. The table is made when the docs are built.

"""


def notebook_page(notebook: Path) -> str:
    """Return the cells of a notebook as Markdown: text as it is, code in fences. The notebook is not run."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def modules_page(package: Path) -> str:
    """Return a page with a table for each room of the package."""
    lines = []
    room = None
    for name, summary in summaries(package):
        top = name.partition("/")[0] if "/" in name else "lookcast"
        if top != room:
            lines += ["", f"## {top}", "", "| file | contents |", "|---|---|"]
            room = top
        lines.append(f"| `{name}` | {summary} |")
    return MODULES + "\n".join(lines).strip() + "\n"


def summaries(package: Path) -> Iterator[tuple[str, str]]:
    """Yield the path in the package and the first line of the docstring of each module, files before folders."""
    paths = [path.relative_to(package) for path in package.rglob("*.py") if path.name != "__main__.py"]
    for path in sorted(paths, key=lambda path: (len(path.parts) > 1, path.parent.parts, path.name)):
        docstring = ast.get_docstring(ast.parse((package / path).read_text(encoding="utf-8"))) or ""
        yield path.as_posix(), docstring.partition("\n")[0].replace("|", r"\|")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the files of the site."""
    docs = Path(config.docs_dir)
    pages = {"modules.md": modules_page(docs.parent / "src" / "lookcast")}
    pages |= {f"{notebook.stem}.md": notebook_page(notebook) for notebook in docs.glob("*.ipynb")}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files
