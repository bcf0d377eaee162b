"""Positions of the points and ticks in the plot that `templates/scatter.svg` draws.

The horizontal axis shows the Gram distance, and the vertical axis shows the edge SSIM.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor
from string import ascii_uppercase
from typing import Any, NamedTuple

from lookcast.evaluation.scoring import show

WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 56
BOX = (WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM)
"""Width, height and the four margins of the plot, in SVG units."""
X, Y = "gram", "edge_ssim"
"""Two keys of `MEASURES`: the metric on the horizontal axis, and the metric on the vertical axis."""


class Axes(NamedTuple):
    """The ranges of values on the two axes."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Convert two metric values to the distances from the left and from the top, in SVG units."""
        (x0, x1), (y0, y1) = self
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


class Mark(NamedTuple):
    """A point of the plot.

    Attributes:
        column: the column of the report, or the letter of a published method.
        title: the text of the tooltip.
        x: distance from the left, in SVG units.
        y: distance from the top, in SVG units.
    """

    column: str
    title: str
    x: float
    y: float


def scatter_plot(report: Mapping[str, Any]) -> dict[str, Any]:
    """Compute the positions of points and ticks for a report from `build_report`.

    A point is left out if its Gram distance or its edge SSIM is missing.

    Returns:
        A dict of lists. `x_ticks` and `y_ticks` hold a tuple (value, position) for each tick. `dots`, `published` and
        `means` hold a `Mark` for each point.
    """
    dots = [
        (column, f"{pair['name']}, {column}", figures)
        for pair in report["pairs"]
        for column, figures in pair["figures"].items()
    ]
    means = [(column, f"mean of {column}", figures) for column, figures in report["means"].items()]
    published = [
        (letter, f"{entry['name']} (published pairs)", entry["figures"])
        for letter, entry in zip(ascii_uppercase, report["published"], strict=False)
    ]
    points = [(figures[X], figures[Y]) for *_, figures in (*dots, *published) if _known(figures)] or [(0.0, 0.0)]
    axes = Axes(*(_span(values) for values in zip(*points, strict=True)))
    (x0, x1), (y0, y1) = axes

    def place(entries: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[Mark]:
        return [
            Mark(
                column,
                f"{name}: Gram {show(X, figures[X])}, edge SSIM {show(Y, figures[Y])}",
                *axes.at(figures[X], figures[Y]),
            )
            for column, name, figures in entries
            if _known(figures)
        ]

    return {
        "x_ticks": [(value, axes.at(value, y0)[0]) for value in _ticks(x0, x1)],
        "y_ticks": [(value, axes.at(x0, value)[1]) for value in _ticks(y0, y1)],
        "dots": place(dots),
        "published": place(published),
        "means": place(means),
    }


def _known(figures: Mapping[str, Any]) -> bool:
    return figures.get(X) is not None and figures.get(Y) is not None


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Return the range (low, high) of the values, widened so that both ends are multiples of 0.1."""
    low, high = floor(10 * min(values) + 1e-6), ceil(10 * max(values) - 1e-6)
    return min(low, high - 1) / 10, high / 10


def _ticks(low: float, high: float) -> list[float]:
    """Return at most 13 ticks at multiples of 0.1."""
    first, last = round(10 * low), round(10 * high)
    step = next(step for step in (1, 2, 5, 10, 50, 100, 1000, last - first) if (last - first) / step <= 12)
    return [tick / 10 for tick in range(ceil(first / step) * step, last + 1, step)]
