"""The page of `lookcast explain`: how a checkpoint gave one photo its look."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.inference.explain import Explanation
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.regions import absent_labels, label_shares
from lookcast.pages.drawings import (
    HUES,
    change_picture,
    grey_slices,
    guide_picture,
    overlay,
    region_colors,
    sample_colors,
)
from lookcast.pages.html import float_text, jpeg_url, level_text, open_templates, png_url, printable

SUFFIXES = (".html", ".htm")
MAX_CELLS = 32 * 32 * 16
"""Largest number of cells of a grid in a page. It keeps the file below 5 MB."""
STEPS = {
    "photo": ("the photo", "The grid starts as the identity: nothing changes."),
    "carried": (
        "+ carried colours",
        "Each cell takes over the mean, the contrast and the tints of the places that it looked at.",
    ),
    "shared": (
        "+ shared over surfaces",
        "Cells of one sky or one wall move to their common mean, so that no cell shows in the photo.",
    ),
    "learned": (
        "+ learned correction",
        "The network compares a draft with the style, and corrects what the colour statistics miss.",
    ),
    "learned_shared": ("+ correction shared", "The correction is shared in the same way."),
    "toned": ("+ tones of the regions", "The dark, middle and bright tones of each region move to those of the style."),
    "solved": (
        "+ least squares",
        "The colours of each region come closer to the style, and halos and stains become weaker.",
    ),
    "robust": (
        "+ one map",
        "The more parts of the two photos agree on one colour transform, the further all cells move to it.",
    ),
    "look": ("+ the look", "The network predicts all transforms at once."),
}
"""A dict from the name of each stage of `Explanation.steps` to its title and its description."""

_TEMPLATES = open_templates(Path(__file__).with_name("templates"))


def check_page(file: Path) -> None:
    """Refuse a file for a page whose name does not end with .html or .htm.

    Raises:
        InputError: the name has another ending.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"{file}: explain writes a page; its name ends with .html")


def write_explanation(file: Path, explanation: Explanation, facts: Mapping[str, str]) -> None:
    """Write the page of an explanation.

    Args:
        file: the HTML file.
        explanation: the values of the prediction.
        facts: see `render_explanation`.

    Raises:
        InputError: the name does not end with .html, the file can't be written, or the grid has too many cells.
    """
    check_page(file)
    page = render_explanation(explanation, facts)
    with atomic_write(file) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render_explanation(explanation: Explanation, facts: Mapping[str, str]) -> str:
    """Return the page of an explanation, one self-contained HTML text, with all texts HTML-escaped.

    Args:
        explanation: the values of the prediction.
        facts: a dict from names to texts about the prediction. `photo` and, with a style photo, `style` are in the
            title; all others are listed at the end of the page.

    Raises:
        InputError: the grid has more than 16,384 cells.
    """
    cells = explanation.grid[0, 0].numel()
    if cells > MAX_CELLS:
        raise InputError(f"checkpoint: expected a grid of at most {MAX_CELLS} cells for a page, got {cells}")
    depth, rows, columns = explanation.grid.shape[2:]
    return _TEMPLATES.get_template("explanation.html").render(
        facts={name: printable(text) for name, text in facts.items()},
        explanation=explanation,
        depth=depth,
        rows=rows,
        columns=columns,
        content=jpeg_url(explanation.preview),
        style=None if explanation.style_preview is None else jpeg_url(explanation.style_preview),
        aspects=[_aspect(image) for image in (explanation.preview, explanation.style_preview)],
        thumbnails=[_thumbnail(image) for image in (explanation.thumbnail, explanation.style_thumbnail)],
        regions=_regions(explanation),
        steps=_steps(explanation),
        guide=jpeg_url(guide_picture(explanation.preview)),
        slices=[png_url(image[None].clamp(0, 1)) for image in grey_slices(explanation.grid)],
        hues=["grey", *HUES],
        data=_data(explanation),
    )


def _aspect(image: torch.Tensor | None) -> str:
    return "1" if image is None else f"{image.shape[3]} / {image.shape[2]}"


def _thumbnail(image: torch.Tensor | None) -> dict[str, Any] | None:
    return None if image is None else {"url": jpeg_url(image), "side": image.shape[-1]}


def _steps(explanation: Explanation) -> list[dict[str, Any]]:
    """Return the title, the pictures and the mean change of each step."""
    steps: list[dict[str, Any]] = []
    before = None
    for name, grid in explanation.steps().items():
        image = apply_grid(grid, explanation.preview)
        title, about = STEPS[name]
        step = {"title": title, "about": about, "url": jpeg_url(image), "added": None, "levels": 0.0}
        if before is not None:
            picture, step["gain"] = change_picture(before, image)
            step["added"] = jpeg_url(picture)
            step["levels"] = 255 * float((image - before).abs().mean())
        steps.append(step)
        before = image
    steps[-1]["about"] += " This is the result."
    return steps


def _regions(explanation: Explanation) -> dict[str, Any] | None:
    """Return the pictures of the regions, and a row for each region: name, colour, and share in both photos."""
    stages = explanation.stages
    if stages is None:
        return None
    assert explanation.style_preview is not None
    assert explanation.style_regions is not None
    names, colors = region_colors(stages.content_regions.shape[1], explanation.masked, explanation.names)
    masks = stages.content_regions, explanation.style_regions
    content, style = (label_shares(mask)[0] for mask in masks)
    absent = absent_labels(content, style)
    rows = [
        {
            "name": name,
            "color": "#" + "".join(f"{round(255 * value):02x}" for value in color.tolist()),
            "content": float(content[k]),
            "style": float(style[k]),
            "absent": explanation.masked and bool(absent[k]),
        }
        for k, (name, color) in enumerate(zip(names, colors, strict=True))
        if max(content[k], style[k]) >= 0.005
    ]
    photos = explanation.preview, explanation.style_preview
    pictures = [jpeg_url(overlay(photo, mask, colors)) for photo, mask in zip(photos, masks, strict=True)]
    return {"content": pictures[0], "style": pictures[1], "rows": rows}


def _data(explanation: Explanation) -> dict[str, Any]:
    """Return the numbers that the script of the page reads. P is the number of cells at one depth.

    Shares and colours are 8-bit levels. A heat map has a row for each cell: levels from 0 to the row's peak.
    """
    depth, rows, columns = explanation.grid.shape[2:]
    shares, colors = explanation.cell_colors()
    stages = explanation.stages
    data: dict[str, Any] = {
        "depth": depth,
        "rows": rows,
        "columns": columns,
        "grid": float_text(explanation.grid[0].flatten(2)),  # (12, D, P)
        "shares": float_text(shares.flatten(1)),  # (D, P)
        "colors": level_text(colors.flatten(2).transpose(1, 2)),  # (D, P, 3)
        "samples": sample_colors(depth).tolist(),
        "steps": [level_text(image.flatten(1).T) for image in explanation.step_colors().values()],  # (P, 3) each
        "attention": None,
        "grounds": None,
    }
    if stages is not None:
        heads = stages.style_group.head_weights.shape[1]
        mix = stages.mix[0]
        parts = torch.cat([mix[:heads].sum(0, keepdim=True), mix[heads:]])
        data["attention"] = _heat(stages.attention()[0]) | {
            "mix": float_text(parts),  # (1 or 3, P)
            "strength": float_text(stages.strength[0, 0]),
        }
        if stages.grounds is not None:
            data["grounds"] = _heat(stages.grounds.weights[0])
            data["grounds"]["openness"] = float_text(stages.grounds.openness[0, ..., 0])
    return data


def _heat(weights: torch.Tensor) -> dict[str, str]:
    peak = weights.amax(-1, keepdim=True)
    return {"levels": level_text(weights / peak.clamp_min(1e-12)), "peak": float_text(peak)}
