"""Shards that tests share."""

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from lookcast.data.store.writer import make_shards
from lookcast.ops.masks import PALETTE

COLORS = np.array([rgb for _, rgb in PALETTE], np.uint8)
MIN_SIDE = 40
NAMES = ("b.jpg", "a photo.png", "deep/é ü 写真.jpg", "deep/two\nlines.png", "z.webp", "'quoted\".tif", "c.jpg")
"""Names of photos, unsorted."""


def save_folder(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Save crops of the astronaut of different sizes, 61 px and more on the shorter side."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        top, left, height, width = 23 * number, 31 * number, 61 + 9 * number, 90 + 5 * number
        Image.fromarray(skimage.data.astronaut()[top : top + height, left : left + width]).save(folder / name)
    return folder


def save_striped_masks(folder: Path, photos: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Save a mask for each photo: nine stripes, starting with another colour in each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        with Image.open(photos / name) as image:
            labels = (np.arange(image.width) * 9 // image.width + number) % 9
            stripes = COLORS[labels][None].repeat(image.height, 0)
        Image.fromarray(stripes).save(folder / f"{Path(name).stem}.png")
    return folder


def save_shards(out: Path, photos: Path, masks: Path | None = None, format: str = "npy", **options: int) -> Path:
    """Write shards with one process."""
    make_shards(photos, out, masks, format=format, jobs=1, **{"min_side": MIN_SIDE, **options})
    return out
