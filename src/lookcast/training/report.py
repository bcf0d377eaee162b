"""What a run leaves, and what it says on the console."""

import logging
import os
import shlex
import warnings
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from pytorch_lightning.utilities import rank_zero_only
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lookcast.training.stats import RunStats


class TrainResult(NamedTuple):
    """What a run leaves.

    Attributes:
        run_dir: folder with config, checkpoints, pictures and metrics.
        checkpoint: the `.safetensors` file for inference.
        metrics: figures of the best weights on the photos to judge by.
        held_out: whether those photos were kept out of the training.
        work: steps, speed, skipped photos.
    """

    run_dir: Path
    checkpoint: Path
    metrics: dict[str, float]
    held_out: bool
    work: RunStats


def figures_of(metrics: dict[str, float]) -> list[tuple[str, float, float]]:
    """What a look is judged by: the figure, its value for untouched photos, its value for their stylizations."""
    before, after = metrics["val/style_distance_untouched"], metrics["val/style_distance"]
    return [
        ("style distance to the style photo", before, after),
        ("edge SSIM to the content", 1.0, metrics["val/edge_ssim"]),
    ]


@rank_zero_only
def print_summary(result: TrainResult) -> None:
    """Say how good the look is, what it took and where everything is."""
    console = Console(highlight=False, markup=False)
    table = Table("", "untouched", "trained", box=SIMPLE_HEAD, pad_edge=False)
    for name, before, after in figures_of(result.metrics):
        table.add_row(name, f"{before:.3f}", f"{after:.3f}")
    console.print(f"\non photos that were {'not ' if result.held_out else ''}trained on:", table, sep="\n")
    run_dir, checkpoint = (os.path.relpath(path) for path in (result.run_dir, result.checkpoint))
    samples = sorted((result.run_dir / "samples").glob("*.png"))
    lines = {"steps": _steps(result.work)}
    if result.work.skipped:
        lines["skipped"] = f"{result.work.skipped} photos that can't be read, see {run_dir}/skipped_photos.txt"
    lines["checkpoint"] = checkpoint
    if samples:
        lines["picture"] = f"{os.path.relpath(samples[-1])}  (content | style | output)"
    lines["run folder"] = run_dir
    lines["try next"] = f"lookcast stylize PHOTO --checkpoint {shlex.quote(checkpoint)} -o stylized.jpg"
    for name, text in lines.items():
        console.print(f"{name:<10}  {text}", soft_wrap=True)  # a path is to be copied: it keeps its line


def _steps(stats: RunStats) -> str:
    if stats.seconds == 0:
        return f"{stats.steps}"
    since = f" ({stats.steps - stats.first_step} since it was resumed)" if stats.first_step else ""
    return (
        f"{stats.steps}{since} in {timedelta(seconds=round(stats.seconds))}, {stats.images_per_second:.1f} images/s, "
        f"{stats.data_wait:.0%} of the time waiting for photos"
    )


class _Once(logging.Filter):
    """Lets a message pass the first time: a photo is read again and again, what is odd about it is said once."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        new = message not in self.said
        self.said.add(message)
        return new


def quieten() -> None:
    """Keep back what Lightning says on every run and what needs no action, and what was said before."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # on two cores a worker process takes from the network what it gives
        ".*module.* in eval mode at the start of training.*",  # the encoder is frozen
        ".*exists and is not empty.*",  # the run folder: Hydra's config lies in it before metrics.csv does
        ".*The dirpath has changed.*",  # a resumed run has its own folder
        ".*LeafSpec.*is deprecated.*",
        ".*find_unused_parameters=True was specified.*did not find any.*",  # other modules have none
    ):
        warnings.filterwarnings("ignore", message=message)
    photos = logging.getLogger("lookcast.photos")
    if not any(isinstance(known, _Once) for known in photos.filters):
        photos.addFilter(_Once())
