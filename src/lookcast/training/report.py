"""What a run leaves, and what it says on the console."""

import logging
import os
import shlex
import warnings
from pathlib import Path
from typing import NamedTuple

from pytorch_lightning.utilities import rank_zero_only


class TrainResult(NamedTuple):
    """What a run leaves.

    Attributes:
        run_dir: folder with config, checkpoints, pictures and metrics.
        checkpoint: the `.safetensors` file for inference.
        metrics: figures of the best weights on the photos to judge by.
        held_out: whether those photos were kept out of the training.
    """

    run_dir: Path
    checkpoint: Path
    metrics: dict[str, float]
    held_out: bool


@rank_zero_only
def print_summary(result: TrainResult) -> None:
    """Say how good the look is and where everything is."""
    figures = result.metrics
    before, after = figures["val/style_distance_untouched"], figures["val/style_distance"]
    print(f"\non photos that were {'not ' if result.held_out else ''}trained on:")
    share = f" ({after / before:.0%})" if before > 0 else ""
    print(f"  style distance to the style photo  {after:.3f}, untouched {before:.3f}{share}")
    print(f"  edge SSIM to the content           {figures['val/edge_ssim']:.3f}")
    run_dir, checkpoint = (os.path.relpath(path) for path in (result.run_dir, result.checkpoint))
    samples = sorted((result.run_dir / "samples").glob("*.png"))
    print(f"\ncheckpoint  {checkpoint}")
    if samples:
        print(f"picture     {os.path.relpath(samples[-1])}  (content | style | output)")
    print(f"run folder  {run_dir}")
    print(f"try next    lookcast stylize PHOTO --checkpoint {shlex.quote(checkpoint)} -o stylized.jpg")


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
    for module in ("decoding", "deep_modes", "heic", "metadata", "modes"):
        logger = logging.getLogger(f"lookcast.photos.{module}")
        if not any(isinstance(known, _Once) for known in logger.filters):
            logger.addFilter(_Once())
