"""The page of a report: one HTML file that asks nothing from outside; its pictures lie beside it."""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import ascii_uppercase
from typing import Any
from urllib.parse import quote

from lookcast.evaluation.pair_folder import CONTENT, MASKS, OUTPUT, STYLE, TRUTH
from lookcast.evaluation.scatter import scatter_svg
from lookcast.evaluation.scoring import MEASURES, show

_TEMPLATE = Path(__file__).with_name("page.html")
_GREY, _ACCENT = "#868e96", "#e8590c"
_REFERENCE_COLORS = ("#1c7ed6", "#2f9e44", "#9c36b5", "#0b7285", "#846358")


def render_page(report: Mapping[str, Any]) -> str:
    """The page of what `build_report` made, every text escaped."""
    references = [column for column in report["columns"] if column not in (CONTENT, OUTPUT)]
    colors = {CONTENT: _GREY, OUTPUT: _ACCENT}
    colors |= {name: _REFERENCE_COLORS[i % len(_REFERENCE_COLORS)] for i, name in enumerate(references)}
    used = [key for key in MEASURES if any(key in means for means in report["means"].values())]
    parts = {
        "FACTS": _facts(report),
        "SUMMARY": _summary(report, used, colors),
        "SCATTER": scatter_svg(report, colors),
        "PUBLISHED": _published(report),
        "MEASURES": "".join(_measure(key) for key in used),
        "PAIRS": _pairs(report, used, references),
        "SKIPPED": _skipped(report),
    }
    page = _TEMPLATE.read_text(encoding="utf-8")
    # Split rather than replaced one after the other: a pair may be called {{PAIRS}}.
    first, *rest = page.split("{{")
    return first + "".join(parts[name] + text for name, text in (piece.split("}}", 1) for piece in rest))


def _facts(report: Mapping[str, Any]) -> str:
    config, checkpoint = report["config"], report["checkpoint"]
    facts = {"pairs": f"{config['pairs']}, {len(report['pairs'])} scored"}
    if checkpoint is None:
        facts["outputs"] = config["outputs"]
    else:
        generator = checkpoint.get("generator") or {}
        facts["checkpoint"] = f"{config['checkpoint']} ({generator.get('name', 'unknown')} generator)"
        facts |= {f"its {name}": str(value) for name, value in (checkpoint.get("metrics") or {}).items()}
        facts["masks"] = "used for stylizing where a pair has both" if config["masks"] else "not used for stylizing"
    facts["Gram and features by"] = report["encoder"]
    if report["seconds_per_photo"] is not None:
        facts["seconds per photo"] = f"{report['seconds_per_photo']:.2f}, at full resolution on {config['device']}"
    facts["made"] = f"{report['created']} by lookcast {report['lookcast']}"
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())


def _summary(report: Mapping[str, Any], used: Iterable[str], colors: Mapping[str, str]) -> str:
    head = "".join(f"<th>{_title(key)}</th>" for key in used)
    rows = "".join(
        f'<tr><th scope="row"><i style="background:{colors[column]}"></i>{escape(_named(column))}</th>'
        f"<td>{means['num_pairs']}</td>{''.join(f'<td>{show(key, means.get(key))}</td>' for key in used)}</tr>"
        for column, means in report["means"].items()
    )
    return f"<thead><tr><th>mean of</th><th>pairs</th>{head}</tr></thead><tbody>{rows}</tbody>"


def _published(report: Mapping[str, Any]) -> str:
    keys = [key for key in MEASURES if any(key in entry["figures"] for entry in report["published"])]
    head = "".join(f"<th>{_title(key)}</th>" for key in keys)
    rows = ""
    for letter, entry in zip(ascii_uppercase, report["published"], strict=False):
        cells = "".join(f"<td>{show(key, entry['figures'].get(key))}</td>" for key in keys)
        name = f'<th scope="row"><b>{letter}</b> {escape(entry["name"])}</th>'
        rows += f"<tr>{name}<td>{entry['num_pairs']}</td>{cells}</tr>"
    return f"<thead><tr><th>published</th><th>pairs</th>{head}</tr></thead><tbody>{rows}</tbody>"


def _measure(key: str) -> str:
    measure = MEASURES[key]
    better = "higher" if measure.higher_is_better else "lower"
    return f"<dt>{escape(measure.title)}</dt><dd>{escape(measure.about)}; {better} is better</dd>"


def _pairs(report: Mapping[str, Any], used: Iterable[str], references: Iterable[str]) -> str:
    shown = {column for pair in report["pairs"] for column in pair["pictures"]}
    pictures = [c for c in (CONTENT, STYLE, MASKS, TRUTH, *references, OUTPUT) if c in shown]
    timed = report["seconds_per_photo"] is not None
    sorts = [("pair", "pair"), *((key, _title(key)) for key in used), *([("seconds", "s")] if timed else [])]
    buttons = [
        f'<th data-key="{key}" aria-sort="none"><button type="button">{title}</button></th>' for key, title in sorts
    ]
    head = buttons[0] + "".join(f"<th>{escape(column)}</th>" for column in pictures) + "".join(buttons[1:])
    rows = []
    for pair in report["pairs"]:
        cells = [f'<th scope="row" data-value="{escape(pair["name"])}">{escape(pair["name"])}</th>']
        cells += [f"<td>{_picture(pair, column)}</td>" for column in pictures]
        cells += [_figure(pair, key) for key in used]
        if timed:
            cells.append(f'<td data-value="{pair["seconds"]}">{pair["seconds"]:.2f}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _picture(pair: Mapping[str, Any], column: str) -> str:
    if column not in pair["pictures"]:
        return ""
    link, alt = escape(quote(pair["pictures"][column])), escape(f"{pair['name']}: {column}")
    return f'<a href="{link}"><img src="{link}" alt="{alt}" loading="lazy"></a>'


def _figure(pair: Mapping[str, Any], key: str) -> str:
    """The output's figure, by which rows are sorted, and small below it those of the others."""
    figures = pair["figures"]
    value = figures[OUTPUT].get(key)
    others = "".join(
        f"<small>{escape(column)} {show(key, figures[column].get(key))}</small>"
        for column in reversed(figures)
        if column != OUTPUT
    )
    return f'<td data-value="{"" if value is None else value}"><b>{show(key, value)}</b>{others}</td>'


def _skipped(report: Mapping[str, Any]) -> str:
    if not report["skipped"]:
        return ""
    items = "".join(f"<li>{escape(pair['pair'])}: {escape(pair['reason'])}</li>" for pair in report["skipped"])
    return f"<section><h2>Skipped</h2><ul>{items}</ul></section>"


def _title(key: str) -> str:
    return f"{escape(MEASURES[key].title)} {'↑' if MEASURES[key].higher_is_better else '↓'}"


def _named(column: str) -> str:
    return {CONTENT: "content, untouched"}.get(column, column)
