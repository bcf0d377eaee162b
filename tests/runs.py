"""Small training runs for the tests: an encoder that does not depend on the shipped one, photos, configs, masks."""

import csv
from pathlib import Path

import numpy as np
import skimage.data
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

from lookcast.encoders.compact import CompactNetwork
from lookcast.paths import shipped
from lookcast.weights import save_weights

SIZE = (96, 64)
"""Width and height of the photos that `save_photos` writes."""
BLUE, GREEN = (0, 0, 255), (0, 255, 0)
GENERATOR = (
    "generator.depth=4", "generator.height=4", "generator.width=4",
    "generator.channels=16", "generator.blocks=1", "generator.thumbnail=64",
)  # fmt: skip
"""A generator that is small enough for hundreds of steps."""
TINY = ("data=samples", "trainer=cpu", "style=sample:coffee", "debug=fast", "style_size=64", *GENERATOR)
"""Overrides of a run of two steps at 64 px; the caller adds `encoder.weights` and `run_dir`."""

QUIET = (
    ".*isinstance.treespec, LeafSpec.*", ".*in eval mode at the start of training.*", "The dirpath has changed.*",
    ".*exists and is not empty.*", "You requested to overfit but.*",
)  # fmt: skip
"""Warnings of Lightning in every run, for `pytest.mark.filterwarnings`; `lookcast train` hides them too."""


def save_encoder(folder: Path) -> Path:
    """A compact encoder of narrow layers with the same random weights every time."""
    path = folder / "encoder.safetensors"
    widths, outputs = [8, 12, 16, 24], [6, 8, 12, 12]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CompactNetwork(widths, outputs)
    save_weights(path, "encoder", network.state_dict(), {"widths": widths, "outputs": outputs})
    return path


def composed(*overrides: str) -> DictConfig:
    """The config of `lookcast train` with these overrides."""
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return compose("train", list(overrides))


def save_photos(folder: Path, count: int, size: tuple[int, int] = SIZE, suffix: str = ".png") -> Path:
    """Different crops of the astronaut: `photo00.png`, `photo01.png`, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, (width, height) = skimage.data.astronaut(), size
    for number in range(count):
        top, left = 29 * number % (512 - height), 67 * number % (512 - width)
        Image.fromarray(pixels[top : top + height, left : left + width]).save(folder / f"photo{number:02d}{suffix}")
    return folder


def save_mask(path: Path, size: tuple[int, int], upper: tuple = BLUE, lower: tuple = GREEN) -> Path:
    """Two regions, the upper and the lower half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2], pixels[height // 2 :] = upper, lower
    Image.fromarray(pixels).save(path)
    return path


def save_masks(folder: Path, count: int, size: tuple[int, int] = SIZE, **colors: tuple) -> Path:
    """Masks for `save_photos`."""
    for number in range(count):
        save_mask(folder / f"photo{number:02d}.png", size, **colors)
    return folder


def break_photo(path: Path) -> Path:
    """Cut a photo in the middle of its pixels: its header is whole."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """Rows of `metrics.csv`, without the cells that are empty."""
    with (run_dir / "metrics.csv").open() as file:
        return [{key: float(cell) for key, cell in row.items() if cell} for row in csv.DictReader(file)]


def losses(run_dir: Path) -> list[float]:
    """`train/loss/total` of every step that was logged."""
    return [row["train/loss/total"] for row in read_metrics(run_dir) if "train/loss/total" in row]
