"""The evaluation loop. For each pair, it scores the output, the content and the references (other methods' results)."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lookcast.checks import InputError
from lookcast.encoders.base import Encoder
from lookcast.evaluation.pair_folder import (
    CONTENT,
    OUTPUT,
    PairFiles,
    photos_by_name,
    read_pair,
    shrink,
    to_compare,
)
from lookcast.evaluation.pictures import write_pictures
from lookcast.evaluation.scoring import Figures, Scorer
from lookcast.inference.stylizer import Stylizer
from lookcast.pages.html import printable
from lookcast.photos.masks import read_mask
from lookcast.photos.read import PhotoError, read_srgb
from lookcast.segmenters import Segmenter
from lookcast.segmenters.auto_masks import AutoMasks


class Output(NamedTuple):
    """The image to score for one pair.

    Attributes:
        pixels: the image, `(H, W, 3)`, of any size.
        seconds: time of stylization, without reading and writing of files; None for an existing image.
    """

    pixels: npt.NDArray[np.uint8]
    seconds: float | None = None


OutputSource = Callable[[PairFiles], Output]
"""A function that returns the output of a pair, or raises `InputError`."""


class PairResult(NamedTuple):
    """The scores of one pair.

    Attributes:
        name: name of the pair.
        masked: True if both photos have a mask. The style metrics then compare region by region.
        figures: for each scored image, the values of its metrics. The keys are `content`, the names of the references,
            and `output`.
        pictures: for each column of the report, the path of the picture, relative to the report's folder.
        seconds: time of stylization, see `Output.seconds`.
        megapixels: size of the output before it is resized for the comparison.
    """

    name: str
    masked: bool
    figures: dict[str, Figures]
    pictures: dict[str, str]
    seconds: float | None
    megapixels: float


class Skipped(NamedTuple):
    """A pair that could not be scored.

    Attributes:
        pair: name of the pair.
        reason: the error message, in one line.
    """

    pair: str
    reason: str


def ready_outputs(folder: Path) -> OutputSource:
    """Return an `OutputSource` that reads existing images from a folder. An image has the same stem as its pair.

    Raises:
        InputError: the folder can't be read.
    """
    photos = photos_by_name(folder)

    def read(files: PairFiles) -> Output:
        if files.name not in photos:
            raise PhotoError(f"{folder}: no output is called {files.name!r}")
        return Output(read_srgb(photos[files.name]))

    return read


def stylized_outputs(
    stylizer: Stylizer,
    use_masks: bool = True,
    max_side: int | None = None,
    segmenter: Segmenter | None = None,
    refine: int = 0,
) -> OutputSource:
    """Return an `OutputSource` that stylizes the content of each pair with a checkpoint.

    A universal checkpoint gets the style photo of the pair. It also gets the masks, if both photos have a mask. A
    checkpoint with a fixed style gets no style photo and no masks, but the metrics still use the pair's style photo.

    Args:
        stylizer: the loaded checkpoint.
        use_masks: False ignores the masks of the pair.
        max_side: maximum length of the content's longer side, in pixels. Larger contents are shrunk before
            stylization. None keeps the full size.
        segmenter: finds automatic masks, which replace the masks of the pair. None uses no automatic masks.
        refine: number of optimisation steps after the prediction; see `Stylizer.stylize`.

    Raises:
        InputError: `max_side` is not positive, or a checkpoint with a fixed style gets a segmenter or
            `refine`.
    """
    if segmenter is not None and not stylizer.generator.takes_style:
        raise InputError(
            f"segmenter (--auto-masks): the {stylizer.generator.name} generator has a fixed style and takes no masks"
        )
    if refine and not stylizer.generator.takes_style:
        raise InputError(f"refine: the {stylizer.generator.name} generator has a fixed style")
    if max_side is not None and max_side < 1:
        raise InputError(f"max_side: expected a positive number of pixels, got {max_side}")

    def stylize(files: PairFiles) -> Output:
        content = read_srgb(files.content)
        if max_side is not None:
            content = shrink(content, max_side)
        style = content_mask = style_mask = None
        if stylizer.generator.takes_style and files.style is not None:
            style = read_srgb(files.style)
            if segmenter is not None:
                start = time.perf_counter()
                pixels = stylizer.stylize(content, **AutoMasks(segmenter, [style])(content), refine=refine)
                return Output(pixels, time.perf_counter() - start)
            if use_masks and files.content_mask is not None and files.style_mask is not None:
                content_mask = read_mask(files.content_mask, content.shape[:2])
                style_mask = read_mask(files.style_mask, style.shape[:2])
        start = time.perf_counter()
        pixels = stylizer.stylize(content, style, content_mask, style_mask, refine=refine)
        return Output(pixels, time.perf_counter() - start)

    return stylize


def evaluate_pairs(
    pairs: Sequence[PairFiles], source: OutputSource, encoder: Encoder, report: Path
) -> tuple[list[PairResult], list[Skipped]]:
    """Score every pair, and write its pictures.

    If a pair raises `InputError`, the function prints the error and skips the pair. On a terminal, it shows a progress
    bar.

    Args:
        pairs: the pairs that `find_pairs` found.
        source: function that returns the output of a pair.
        encoder: the encoder whose features the metrics compare.
        report: folder of the report, into which the pictures are written.

    Returns:
        The results of the scored pairs, and the skipped pairs.

    Raises:
        InputError: the report's folder can't be written, or no pair could be scored.
    """
    results: list[PairResult] = []
    skipped: list[Skipped] = []
    with logging_redirect_tqdm():
        for files in tqdm(pairs, unit="pair", disable=None):
            try:
                images = read_pair(files)
                output = source(files)
                tensors = {
                    CONTENT: images.content,
                    **images.references,
                    OUTPUT: to_compare(output.pixels, (images.content.shape[-2], images.content.shape[-1])),
                }
                scorer = Scorer(images, encoder)
                figures = {column: scorer.score(tensor) for column, tensor in tensors.items()}
            except InputError as error:
                skipped.append(Skipped(files.name, printable(str(error))))
                tqdm.write(f"lookcast: skipped: {files.name}: {skipped[-1].reason}\n", file=sys.stderr, end="")
                continue
            pictures = write_pictures(report, files, images, tensors)
            height, width = output.pixels.shape[:2]
            result = PairResult(files.name, files.masked, figures, pictures, output.seconds, height * width / 1e6)
            results.append(result)
    if not results:
        raise InputError(f"{skipped[0].pair}: {skipped[0].reason}; no pair could be scored")
    return results, skipped
