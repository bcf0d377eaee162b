"""The evaluation loop: get the output of each pair, and score the output, the content and the references."""

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
    printable,
    read_pair,
    shrink,
    to_compare,
)
from lookcast.evaluation.pictures import write_pictures
from lookcast.evaluation.scoring import Figures, Scorer
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.masks import read_mask
from lookcast.photos.read import PhotoError, read_srgb
from lookcast.segmenters import Segmenter
from lookcast.segmenters.auto_masks import AutoMasks


class Output(NamedTuple):
    """The image to score for one pair.

    Attributes:
        pixels: the image, `(H, W, 3)`, of any size.
        seconds: time of stylization, without file input and output; None for an existing image.
    """

    pixels: npt.NDArray[np.uint8]
    seconds: float | None = None


OutputSource = Callable[[PairFiles], Output]
"""A function that returns the output of a pair, or raises `InputError`."""


class PairResult(NamedTuple):
    """The scores of one pair.

    Attributes:
        name: name of the pair.
        masked: True if both photos have a mask; the style metrics then compare region by region.
        figures: the metric values of each scored image. The keys are `content`, the names of the references, and
            `output`.
        pictures: for each column of the report, the path of the picture, relative to the report's folder.
        seconds: time of stylization, see `Output.seconds`.
        megapixels: size of the output, before the output is resized for the comparison.
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
    """Return a source that reads existing images from a folder. Each image has the name of its pair.

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
    stylizer: Stylizer, use_masks: bool = True, max_side: int | None = None, segmenter: Segmenter | None = None
) -> OutputSource:
    """Return a source that stylizes the content of each pair with a checkpoint.

    A universal checkpoint gets the style photo of the pair, and the masks if both photos have a mask. A checkpoint
    with a fixed style gets no style photo and no masks. The metrics still use the style photo of the pair.

    Args:
        stylizer: the loaded checkpoint.
        use_masks: False stylizes without masks.
        max_side: contents are shrunk to at most this many pixels on the longer side before stylization. None keeps
            the full size.
        segmenter: finds the masks, in place of the masks of the pair; None to use no automatic masks.

    Raises:
        InputError: `max_side` is not positive, or a checkpoint with a fixed style gets a segmenter.
    """
    if segmenter is not None and not stylizer.generator.takes_style:
        raise InputError(
            f"segmenter (--auto-masks): the {stylizer.generator.name} generator has a fixed style and takes no masks"
        )
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
                pixels = stylizer.stylize(content, **AutoMasks(segmenter, [style])(content))
                return Output(pixels, time.perf_counter() - start)
            if use_masks and files.content_mask is not None and files.style_mask is not None:
                content_mask = read_mask(files.content_mask, content.shape[:2])
                style_mask = read_mask(files.style_mask, style.shape[:2])
        start = time.perf_counter()
        pixels = stylizer.stylize(content, style, content_mask, style_mask)
        return Output(pixels, time.perf_counter() - start)

    return stylize


def evaluate_pairs(
    pairs: Sequence[PairFiles], source: OutputSource, encoder: Encoder, report: Path
) -> tuple[list[PairResult], list[Skipped]]:
    """Score every pair. A pair that raises `InputError` is reported and skipped.

    On a terminal, a progress bar is shown.

    Args:
        pairs: the pairs that `find_pairs` found.
        source: returns the output of a pair.
        encoder: the encoder whose features the metrics compare.
        report: folder of the report; the pictures of each pair are written into this folder.

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
                tqdm.write(f"lookcast: skipped: {files.name}: {skipped[-1].reason}", file=sys.stderr)
                continue
            pictures = write_pictures(report, files, images, tensors)
            height, width = output.pixels.shape[:2]
            result = PairResult(files.name, files.masked, figures, pictures, output.seconds, height * width / 1e6)
            results.append(result)
    if not results:
        raise InputError(f"{skipped[0].pair}: {skipped[0].reason}; no pair could be scored")
    return results, skipped
