"""A report of an evaluation: `report.json` with everything, `report.csv`, and a page to look at."""

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from lookcast.atomic import atomic_write
from lookcast.evaluation.evaluate_pairs import PairResult, Skipped
from lookcast.evaluation.page import render_page
from lookcast.evaluation.pair_folder import CONTENT, OUTPUT
from lookcast.evaluation.scoring import MEASURES, Figures, mean_figures, show

JSON, CSV, PAGE = "report.json", "report.csv", "report.html"


class Published(NamedTuple):
    """Means over the pairs of Deep Photo Style Transfer, measured with the teacher at 512 px.

    Attributes:
        name: the method.
        num_pairs: over so many of the authors' pairs.
        figures: by the key of a `Measure`, as far as they were measured.
    """

    name: str
    num_pairs: int
    figures: Figures


def _published(name: str, num_pairs: int, *values: float) -> Published:
    return Published(name, num_pairs, dict(zip(MEASURES, values, strict=False)))


PUBLISHED = (
    _published("content unchanged", 59, 1.0, 1.133, 19.6, 0.0006, 2.0),
    _published("Reinhard 2001, global", 59, 0.887, 0.771, 9.3, 0.0146),
    _published("Monge-Kantorovich, global", 59, 0.883, 0.695, 8.7, 0.0113),
    _published("PCA-KD, CVPR 2022, no masks", 59, 0.887, 0.643, 7.6, 0.0037, 5.0),
    _published("Deep Photo Style Transfer, CVPR 2017", 59, 0.589, 0.377, 3.2, 0.0208, 16.0),
    _published("a grid fitted per pair", 6, 0.838, 0.353, 3.5, 0.0124, 6.8),
)
"""Where other methods stand; the last over six of the pairs, on which the published results have .621, .423, 3.7."""


def build_report(
    results: Sequence[PairResult],
    skipped: Sequence[Skipped],
    config: dict[str, Any],
    checkpoint: dict[str, Any] | None,
    encoder: str,
) -> dict[str, Any]:
    """Everything that is known of an evaluation, as JSON values; None stands for a figure that does not exist.

    Args:
        results: the scored pairs.
        skipped: the others.
        config: what the evaluation was asked for.
        checkpoint: the header of the checkpoint; None for ready-made outputs.
        encoder: whose features `gram` and `feature_distance` compare.
    """
    references = sorted({column for result in results for column in result.figures} - {CONTENT, OUTPUT})
    columns = [CONTENT, *references, OUTPUT]
    rows = {column: [r.figures[column] for r in results if column in r.figures] for column in columns}
    seconds = [result.seconds for result in results if result.seconds is not None]
    report = {
        "lookcast": version("lookcast"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config,
        "checkpoint": checkpoint,
        "encoder": encoder,
        "measures": {key: measure._asdict() for key, measure in MEASURES.items()},
        "columns": columns,
        "means": {column: {"num_pairs": len(found), **mean_figures(found)} for column, found in rows.items()},
        "seconds_per_photo": sum(seconds) / len(seconds) if seconds else None,
        "pairs": [result._asdict() for result in results],
        "skipped": [pair._asdict() for pair in skipped],
        "published": [entry._asdict() for entry in PUBLISHED],
    }
    cleaned: dict[str, Any] = _without_nan(report)
    return cleaned


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write the three files, each whole or not at all, the page last; its pictures lie in the folder already.

    Raises:
        InputError: the folder can't be written.
    """
    with atomic_write(folder / JSON) as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    with atomic_write(folder / CSV) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["pair", "image", *MEASURES, "seconds", "megapixels"])
        for pair in report["pairs"]:
            for column, figures in pair["figures"].items():
                made = [pair["seconds"], pair["megapixels"]] if column == OUTPUT else [None, None]
                writer.writerow([pair["name"], column, *(figures.get(key) for key in MEASURES), *made])
    with atomic_write(folder / PAGE) as temporary:
        temporary.write_text(render_page(report), encoding="utf-8")


def summary_table(report: dict[str, Any]) -> str:
    """The means as a table for a terminal."""
    used = [key for key in MEASURES if any(key in means for means in report["means"].values())]
    head = ["", "pairs", *(MEASURES[key].title for key in used)]
    rows = [
        [column, str(means["num_pairs"]), *(show(key, means.get(key)) for key in used)]
        for column, means in report["means"].items()
    ]
    widths = [max(len(cell) for cell in cells) for cells in zip(head, *rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in [head, *rows]
    ]
    return "\n".join(lines)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: what is not a number becomes None."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
