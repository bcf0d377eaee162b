"""Writing of the pictures of a report."""

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image

from lookcast.atomic import atomic_write
from lookcast.evaluation.pair_folder import (
    CONTENT,
    CONTENT_MASK,
    OUTPUT,
    STYLE,
    STYLE_MASK,
    TRUTH,
    PairFiles,
    PairImages,
)
from lookcast.pages.drawings import overlay
from lookcast.photos.read import to_pixels

FOLDER = "pictures"
QUALITY = 85


def write_pictures(
    report: Path, files: PairFiles, images: PairImages, outputs: Mapping[str, torch.Tensor]
) -> dict[str, str]:
    """Write the compared images of a pair as JPEG files, into one folder for each column of the report.

    Args:
        report: the report's folder.
        files: the files of the pair. The name of the pair is the stem of each picture.
        images: the content, the style, the masks and the truth of the pair.
        outputs: for each column of the report, the scored image `(1, 3, H, W)` in [0, 1].

    Returns:
        For each column, the path of its picture, relative to the report's folder. The columns are the content, the
        style, the two masks and the truth (if they exist), the references (results of other methods), and the output.

    Raises:
        InputError: a picture can't be written.
    """
    pictures = {CONTENT: images.content, STYLE: images.style}
    if files.masked:
        pictures[CONTENT_MASK] = overlay(images.content, images.content_mask)
        pictures[STYLE_MASK] = overlay(images.style, images.style_mask)
    if images.truth is not None:
        pictures[TRUTH] = images.truth
    pictures |= {column: image for column, image in outputs.items() if column not in (CONTENT, OUTPUT)}
    pictures[OUTPUT] = outputs[OUTPUT]
    paths = {}
    for column, image in pictures.items():
        # One folder per column, because in a common folder `a_b_c.jpg` could be column `b_c` of pair `a`, or column `c`
        # of pair `a_b`.
        paths[column] = f"{FOLDER}/{column}/{files.name}.jpg"
        with atomic_write(report / paths[column]) as temporary:
            Image.fromarray(to_pixels(image)).save(temporary, "JPEG", quality=QUALITY)
    return paths
