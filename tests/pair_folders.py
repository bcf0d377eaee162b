"""Small folders of content and style pairs, made from real photographs."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.photo_files import save_photo

SIZE = (96, 64)


def save_mask(path: Path, left: tuple = (0, 0, 255), right: tuple = (0, 255, 0), at: float = 0.5, size=SIZE) -> Path:
    """Save a mask of two labels side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:], pixels[:, : int(at * size[0])] = right, left
    Image.fromarray(pixels).save(path)
    return path


def save_pairs(folder: Path) -> Path:
    """Save two pairs: `cat` with masks and a reference in `dpst`, `cup & saucer` without either."""
    save_photo(folder / "content" / "cat.png", "chelsea")
    save_photo(folder / "style" / "cat.jpg", "coffee")
    save_mask(folder / "content_mask" / "cat.png")
    save_mask(folder / "style_mask" / "cat.png", at=0.3)
    save_photo(folder / "dpst" / "cat.png", "astronaut")
    save_photo(folder / "content" / "cup & saucer.jpg", "coffee")
    save_photo(folder / "style" / "cup & saucer.png", "astronaut")
    return folder


def save_outputs(folder: Path) -> Path:
    """Save an output for each pair: the content, brightened."""
    folder.mkdir(parents=True)
    for name, photo in (("cat", "chelsea"), ("cup & saucer", "coffee")):
        path = save_photo(folder / f"{name}.png", photo)
        Image.fromarray(np.asarray(Image.open(path)) // 2 + 100).save(path)
    return folder
