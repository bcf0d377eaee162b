"""Result of a run, and its summary on the console."""

import os
import shlex
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from pytorch_lightning.utilities import rank_zero_only
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lookcast.training.stats import RunStats


class TrainResult(NamedTuple):
    """Files, metrics and stats of a finished run.

    Attributes:
        run_dir: the run folder, with config, checkpoints, pictures and metrics.
        checkpoint: the `.safetensors` file for inference.
        metrics: a mapping from log keys to the validation metrics of the best weights.
        held_out: True if no validation photo was used in training.
        stats: number of steps, speed, and number of skipped photos.
    """

    run_dir: Path
    checkpoint: Path
    metrics: dict[str, float]
    held_out: bool
    stats: RunStats


def figures_of(metrics: dict[str, float]) -> list[tuple[str, float, float]]:
    """For each main metric, return its name, its value for the untouched photos, and its value for the outputs."""
    before, after = metrics["val/style_distance_untouched"], metrics["val/style_distance"]
    return [
        ("style distance to the style photo", before, after),
        ("edge SSIM to the content", 1.0, metrics["val/edge_ssim"]),
    ]


@rank_zero_only
def print_summary(result: TrainResult) -> None:
    """Print the quality of the look, the cost of the run, and the paths of the run's files."""
    console = Console(highlight=False, markup=False)
    table = Table("", "untouched", "trained", box=SIMPLE_HEAD, pad_edge=False)
    for name, before, after in figures_of(result.metrics):
        table.add_row(name, f"{before:.3f}", f"{after:.3f}")
    console.print(f"\non photos that were {'not ' if result.held_out else ''}trained on:", table, sep="\n")
    run_dir, checkpoint = (os.path.relpath(path) for path in (result.run_dir, result.checkpoint))
    samples = sorted((result.run_dir / "samples").glob("*.png"))
    lines = {"steps": _steps(result.stats)}
    if result.stats.skipped:
        lines["skipped"] = f"{result.stats.skipped} photos that can't be read, see {run_dir}/skipped_photos.txt"
    lines["checkpoint"] = checkpoint
    if samples:
        lines["picture"] = f"{os.path.relpath(samples[-1])}  (content | style | output)"
    lines["run folder"] = run_dir
    lines["try next"] = f"lookcast stylize PHOTO --checkpoint {shlex.quote(checkpoint)} -o stylized.jpg"
    for name, text in lines.items():
        console.print(f"{name:<10}  {text}", soft_wrap=True)  # keep a path on one line for copying


def _steps(stats: RunStats) -> str:
    if stats.seconds == 0:
        return f"{stats.steps}"
    since = f" ({stats.steps - stats.first_step} since it was resumed)" if stats.first_step else ""
    return (
        f"{stats.steps}{since} in {timedelta(seconds=round(stats.seconds))}, {stats.images_per_second:.1f} images/s, "
        f"{stats.data_wait:.0%} of the time waiting for photos"
    )
