"""Structure against style as an SVG: every pair a dot, every mean a large one, published means as lettered diamonds."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor
from string import ascii_uppercase
from typing import Any, NamedTuple

from lookcast.evaluation.scoring import show

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 48
X, Y = "gram", "edge_ssim"
"""The keys of the measures on the axes."""


class Axes(NamedTuple):
    """Ranges of the figures, and where they lie in the picture."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixel of a point; y points up."""
        (x0, x1), (y0, y1) = self
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def scatter_svg(report: Mapping[str, Any], colors: Mapping[str, str]) -> str:
    """Draw a report.

    Args:
        report: what `build_report` made.
        colors: of the columns.
    """
    dots = [
        (column, pair["name"], figures[X], figures[Y])
        for pair in report["pairs"]
        for column, figures in pair["figures"].items()
    ]
    means = [(column, figures.get(X), figures.get(Y)) for column, figures in report["means"].items()]
    others = [(entry["name"], entry["figures"][X], entry["figures"][Y]) for entry in report["published"]]
    known = [point[-2:] for point in (*dots, *others) if None not in point[-2:]]
    axes = Axes(_span([x for x, _ in known]), _span([y for _, y in known]))
    marks = [*_grid(axes)]
    for column, name, x, y in dots:
        if x is not None and y is not None:
            cx, cy = axes.at(x, y)
            title = escape(f"{name}, {column}: Gram {show(X, x)}, edge SSIM {show(Y, y)}")
            marks.append(
                f'<circle class="dot" cx="{cx:.1f}" cy="{cy:.1f}" r="4" fill="{colors[column]}"><title>{title}</title>'
                "</circle>"
            )
    for letter, (name, x, y) in zip(ascii_uppercase, others, strict=False):
        cx, cy = axes.at(x, y)
        title = escape(f"{name} (published pairs): Gram {show(X, x)}, edge SSIM {show(Y, y)}")
        marks.append(
            f'<g class="published" transform="translate({cx:.1f} {cy:.1f})"><path d="M0-11 11 0 0 11-11 0Z"/>'
            f'<text y="4">{letter}</text><title>{title}</title></g>'
        )
    for column, x, y in means:
        if x is not None and y is not None:
            cx, cy = axes.at(x, y)
            title = escape(f"mean of {column}: Gram {show(X, x)}, edge SSIM {show(Y, y)}")
            marks.append(
                f'<circle class="mean" cx="{cx:.1f}" cy="{cy:.1f}" r="9" fill="{colors[column]}"><title>{title}</title>'
                "</circle>"
            )
    label = "Edge SSIM against Gram distance, a dot for every pair and image"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(marks)}</svg>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The range of an axis: whole tenths around the values."""
    low, high = floor(10 * min(values) + 1e-6), ceil(10 * max(values) - 1e-6)
    return min(low, high - 1) / 10, high / 10


def _grid(axes: Axes) -> list[str]:
    lines = []
    (x0, x1), (y0, y1) = axes
    for value in _ticks(x0, x1):
        px, _ = axes.at(value, y0)
        lines.append(
            f'<path class="grid" d="M{px:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<text class="tick" x="{px:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:.1f}</text>'
        )
    for value in _ticks(y0, y1):
        _, py = axes.at(x0, value)
        lines.append(
            f'<path class="grid" d="M{LEFT} {py:.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{py + 4:.1f}" text-anchor="end">{value:.1f}</text>'
        )
    lines.append(
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
        "← nearer to the style · Gram distance</text>"
        f'<text class="axis" transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        "edge SSIM · structure kept →</text>"
    )
    return lines


def _ticks(low: float, high: float) -> list[float]:
    """Tenths, or so many of them that at most a dozen are drawn."""
    first, last = round(10 * low), round(10 * high)
    step = next(step for step in (1, 2, 5, 10, 50, 100, 1000, last - first) if (last - first) / step <= 12)
    return [tick / 10 for tick in range(ceil(first / step) * step, last + 1, step)]
