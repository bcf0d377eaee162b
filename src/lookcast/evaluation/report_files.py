"""The files of a report: `report.json` with all data, `report.csv` with the metrics, and the page `report.html`."""

import csv
import json
import os
import stat
import tomllib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from lookcast.atomic import atomic_write
from lookcast.checks import InputError, why_refused
from lookcast.evaluation.evaluate_pairs import PairResult, Skipped
from lookcast.evaluation.page import render_page
from lookcast.evaluation.pair_folder import CONTENT, OUTPUT
from lookcast.evaluation.pictures import FOLDER
from lookcast.evaluation.scoring import MEASURES, mean_figures, show
from lookcast.pages.html import printable

JSON, CSV, PAGE = "report.json", "report.csv", "report.html"


def published_methods() -> list[dict[str, Any]]:
    """Read `published.toml`. Return the name, the number of pairs and the metrics of each published method."""
    text = Path(__file__).with_name("published.toml").read_text(encoding="utf-8")
    methods: list[dict[str, Any]] = tomllib.loads(text)["method"]
    return methods


def check_report_folder(folder: Path, sources: Iterable[Path] = ()) -> None:
    """Check, before an evaluation, that its report can be written to a folder.

    Args:
        folder: the folder of the report, which need not exist yet.
        sources: the files that the evaluation reads.

    Raises:
        InputError: the folder can't be written, or a source lies in the subfolder for the report's pictures.
    """
    for place in (folder, *folder.absolute().parents):
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise InputError(f"{folder}: can't be written ({why_refused(error)})") from error
        if not stat.S_ISDIR(mode):
            raise InputError(f"{folder}: can't be written ({place} is no folder)")
        if not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"{folder}: can't be written (no permission to write in {place})")
        break
    pictures = (folder / FOLDER).resolve()
    for source in sources:
        if source.resolve().is_relative_to(pictures):
            raise InputError(
                f"{folder}: the report would overwrite {source}, an input of the evaluation; choose another folder"
            )


def build_report(
    results: Sequence[PairResult],
    skipped: Sequence[Skipped],
    config: dict[str, Any],
    checkpoint: dict[str, Any] | None,
    encoder: str,
) -> dict[str, Any]:
    """Collect the settings, scores and means of an evaluation as JSON values.

    None stands for a value that is missing or not finite.

    Args:
        results: the scored pairs.
        skipped: the skipped pairs.
        config: the options of the evaluation.
        checkpoint: the header of the checkpoint; None if the outputs are existing images.
        encoder: a description of the encoder whose features the metrics compare.
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
        "published": published_methods(),
    }
    cleaned: dict[str, Any] = _json_values(report)
    return cleaned


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write `report.json`, `report.csv` and `report.html`, in this order. Each file is written atomically.

    The HTML page shows the pictures that `evaluate_pairs` has written into the folder.

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
                names = [_csv_text(pair["name"]), _csv_text(column)]
                writer.writerow([*names, *(figures.get(key) for key in MEASURES), *made])
    with atomic_write(folder / PAGE) as temporary:
        temporary.write_text(render_page(report), encoding="utf-8")


def summary_table(report: dict[str, Any]) -> str:
    """Format the means of all metrics as a text table, with one row for each column of the report."""
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


def _csv_text(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet program would execute as a formula.

    Reference:
        OWASP, "CSV Injection".
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _json_values(value: Any) -> Any:
    """Escape every text with `printable`. Replace NaN and infinity with None, because JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_values(item) for item in value]
    if isinstance(value, str):
        return printable(value)
    return None if isinstance(value, float) and not isfinite(value) else value
