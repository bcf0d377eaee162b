"""The HTML page of a report: a single file, which loads only the pictures in a subfolder of the report."""

from collections.abc import Mapping
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from lookcast.evaluation.pair_folder import CONTENT, MAX_SIDE, OUTPUT, STYLE, TRUTH
from lookcast.evaluation.scatter import BOX, scatter_plot
from lookcast.evaluation.scoring import MEASURES, show
from lookcast.pages.html import open_templates

_GREY, _ACCENT = "#868e96", "#e8590c"
_REFERENCE_COLORS = ("#1c7ed6", "#2f9e44", "#9c36b5", "#0b7285", "#846358")
_TEMPLATES = open_templates(Path(__file__).with_name("templates"))
_TEMPLATES.filters["blank"] = lambda value: "" if value is None else value


def render_page(report: Mapping[str, Any]) -> str:
    """Render the HTML page of a report from `build_report`, with all texts HTML-escaped."""
    references = [column for column in report["columns"] if column not in (CONTENT, OUTPUT)]
    colors = {OUTPUT: _ACCENT, CONTENT: _GREY}
    colors |= {name: _REFERENCE_COLORS[i % len(_REFERENCE_COLORS)] for i, name in enumerate(references)}
    used = [key for key in MEASURES if any(key in means for means in report["means"].values())]
    return _TEMPLATES.get_template("page.html").render(
        report=report,
        columns=list(colors),
        colors=colors,
        measures=MEASURES,
        used=used,
        show=show,
        photos=[CONTENT, STYLE, OUTPUT, TRUTH, *references],
        max_side=MAX_SIDE,
        box=BOX,
        scatter=scatter_plot(report),
        published=list(zip(ascii_uppercase, report["published"], strict=False)),
        published_keys=[key for key in MEASURES if any(key in entry["figures"] for entry in report["published"])],
        title=report["config"].get("checkpoint") or report["config"]["outputs"],
        summary=_summary(report),
        facts=_facts(report),
        validation=_validation((report["checkpoint"] or {}).get("metrics") or {}),
    )


def _summary(report: Mapping[str, Any]) -> str:
    """Return a line of text with the number of pairs, the use of masks and the time per photo."""
    config, count = report["config"], len(report["pairs"])
    parts = [f"{count} {'pair' if count == 1 else 'pairs'} of {config['pairs']}"]
    if report["checkpoint"] is not None:
        masks = "with masks where a pair has both" if config["masks"] else "without masks"
        found = config.get("auto_masks")
        parts.append(f"stylized {masks}" if found is None else f"stylized with automatic masks ({found})")
    if report["seconds_per_photo"] is not None:
        parts.append(f"{report['seconds_per_photo']:.2f} s per photo on {config['device']}")
    return " · ".join(parts)


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    config, checkpoint = report["config"], report["checkpoint"]
    if checkpoint is None:
        facts = {"outputs": config["outputs"]}
    else:
        generator = (checkpoint.get("generator") or {}).get("name", "unknown")
        side = config.get("max_side")
        facts = {
            "checkpoint": f"{config['checkpoint']} ({generator} generator)",
            "stylized at": "full resolution" if side is None else f"{side} px on the longer side, at most",
        }
    return {
        **facts,
        "Gram and features by": report["encoder"],
        "made": f"{report['created']} by lookcast {report['lookcast']}",
    }


def _validation(metrics: Mapping[str, Any]) -> dict[str, list[str]]:
    """Format the validation metrics from the header of a checkpoint.

    Returns:
        For each name of a metric, a list of texts, one for each stage of the training.
    """
    rows: dict[str, list[str]] = {}
    for name, value in metrics.items():
        stages = value if isinstance(value, list) else [{name: value}]
        for stage in stages:
            for key, figure in stage.items() if isinstance(stage, dict) else [(name, stage)]:
                rows.setdefault(str(key), []).append(f"{figure:.4g}" if isinstance(figure, float) else str(figure))
    return rows
