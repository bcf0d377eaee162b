#!/usr/bin/env python3
"""Write the page of a quickstart: pictures to compare, figures, and the next commands.

    python scripts/quickstart_page.py quickstart

The page is `FOLDER/index.html`. It holds its pictures, so that the one file can be sent to somebody. It loads nothing.
"""

import argparse
import base64
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from lookcast import examples
from lookcast.atomic import atomic_write
from lookcast.checkpoints import KIND
from lookcast.checks import InputError
from lookcast.data.sources.folder import find_photos
from lookcast.pages.html import open_templates
from lookcast.weights import read_header

PAIRS = (("city", "sunset"), ("lake", "blue_hour"), ("city", "night"), ("people", "autumn"))
"""The pairs (content, style) of the demo that the page shows."""


class Slider(NamedTuple):
    """Two pictures of one size to compare.

    Attributes:
        title: what the pictures show.
        before: the left picture, as a data URI.
        after: the right picture, as a data URI.
        labels: names of the two pictures.
        size: width and height in pixels.
    """

    title: str
    before: str
    after: str
    labels: tuple[str, str]
    size: tuple[int, int]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder that scripts/quickstart.sh has filled")
    folder = parser.parse_args().folder
    print(write_page(folder))


def write_page(folder: Path) -> Path:
    """Write `FOLDER/index.html`, and return its path.

    Raises:
        InputError: a file of the quickstart is missing, or the page can't be written.
    """
    look = folder / "run" / "look.safetensors"
    header = read_header(look, KIND)
    try:
        values = _values(folder, look, header)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; did scripts/quickstart.sh end?") from error
    template = open_templates(Path(__file__).parent).get_template("quickstart_page.html")
    page = folder / "index.html"
    with atomic_write(page) as temporary:
        temporary.write_text(template.render(values), encoding="utf-8")
    return page


def _values(folder: Path, look: Path, header: dict[str, Any]) -> dict[str, Any]:
    metrics = header["metrics"]
    untouched, distance = metrics["val/style_distance_untouched"], metrics["val/style_distance"]
    (style,) = find_photos(header["training"]["style"], "style")
    contents = examples.contents()
    demo = folder / "demo"
    return {
        "version": header["lookcast"],
        "demo": [
            _slider(f"{content}, {look_of}".replace("_", " "), contents[content], demo / "with_masks" / name)
            for content, look_of in PAIRS
            for name in (f"{content}_{look_of}.jpg",)
        ],
        "sheets": [
            ("without masks", _uri(demo / "without_masks.jpg")),
            ("with automatic masks", _uri(demo / "with_masks.jpg")),
        ],
        "specialised": _slider("lake", contents["lake"], folder / "lake.jpg"),
        "style": _uri(style),
        "figures": [
            ("style distance, share of the untouched photos", "100 %", f"{100 * distance / untouched:.0f} %"),
            ("style distance", f"{untouched:.3f}", f"{distance:.3f}"),
            ("edge SSIM (structure of the photo)", "1.000", f"{metrics['val/edge_ssim']:.3f}"),
        ],
        "steps": header["steps"],
        "commands": [
            ("Any photo, any look", "lookcast stylize PHOTO --style STYLE_PHOTO"),
            ("A whole folder", "lookcast stylize FOLDER --style STYLE_PHOTO -o OUT_FOLDER"),
            ("Let a sky take the look of a sky", "lookcast stylize PHOTO --style STYLE_PHOTO --auto-masks scenes"),
            ("The look of this page", f"lookcast stylize PHOTO --checkpoint {shlex.quote(str(look))}"),
            ("A look of your own", "lookcast train experiment=single_look init_from=universal_free style=STYLE_PHOTO"),
            (
                "A table for other programs",
                "lookcast export --format cube --style STYLE_PHOTO --photo PHOTO -o look.cube",
            ),
        ],
    }


def _slider(title: str, before: Path, after: Path) -> Slider:
    with Image.open(before) as image:
        size = image.size
    return Slider(title, _uri(before), _uri(after), ("before", "after"), size)


def _uri(path: Path) -> str:
    """Return a JPEG file as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


if __name__ == "__main__":
    main()
