"""The figures of one image and their meaning."""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import torch

from lookcast.encoders.base import Encoder
from lookcast.encoders.compact import CompactEncoder
from lookcast.encoders.teacher import TeacherEncoder
from lookcast.evaluation.pair_folder import PairImages
from lookcast.metrics.photo import affine_residual, color_ssim, edge_ssim, invented_residual, psnr
from lookcast.metrics.style import feature_distance, gram_distance, sliced_wasserstein
from lookcast.paths import check_file
from lookcast.structures import Features
from lookcast.weights import CheckpointError

TEACHER = "vgg19_pca.npz"

Figures = dict[str, float]
"""Values by the keys of `MEASURES`."""


class Measure(NamedTuple):
    """A kind of figure.

    Attributes:
        title: its name in tables.
        higher_is_better: True if larger values are better.
        digits: number of decimals in tables.
        about: its meaning in one sentence.
    """

    title: str
    higher_is_better: bool
    digits: int
    about: str


MEASURES = {
    "edge_ssim": Measure("Edge SSIM", True, 3, "structure: SSIM of the edges of content and output"),
    "gram": Measure("Gram", False, 3, "style: relative distance of the regions' Gram matrices"),
    "swd": Measure("Lab SWD", False, 1, "colour: sliced Wasserstein distance of the regions' colours in CIELAB"),
    "affine": Measure(
        "Affine", False, 4, "photorealism: share of local variance that no affine map of the content explains"
    ),
    "invented": Measure(
        "Invented", False, 1, "Affine at a coarse scale, in 8-bit levels: clouds, stains, halos that the content lacks"
    ),
    "feature_distance": Measure(
        "Features", False, 3, "content: distance of normalised features; a good look raises it too"
    ),
    "psnr": Measure("PSNR", True, 2, "peak signal-to-noise ratio against the truth, in decibels"),
    "ssim": Measure("SSIM", True, 3, "structural similarity to the truth"),
}
"""All measures by key, in the order of reports; PSNR and SSIM exist only for pairs with a truth."""


class Scorer:
    """Scores images of one pair; the features of content and style are computed once.

    Scoring runs on the CPU: TensorFloat-32 on a GPU changes the third digit, and figures of different runs must agree.

    Args:
        pair: the images to compare with.
        encoder: gives the features for `gram` and `feature_distance`.
    """

    def __init__(self, pair: PairImages, encoder: Encoder) -> None:
        self.pair, self.encoder = pair, encoder
        with torch.inference_mode():
            self.content_features: Features = encoder(pair.content)
            self.style_features: Features = encoder(pair.style)

    @torch.inference_mode()
    def score(self, output: torch.Tensor) -> Figures:
        """Return the figures of an output `(1, 3, H, W)`, with those against the truth if the pair has one.

        Raises:
            ShapeError: the output does not have the content's shape.
        """
        pair = self.pair
        features = self.encoder(output)
        masks = pair.content_mask, pair.style_mask
        figures = {
            "edge_ssim": edge_ssim(pair.content, output),
            "gram": gram_distance(features, self.style_features, *masks),
            "swd": sliced_wasserstein(output, pair.style, *masks),
            "affine": affine_residual(pair.content, output),
            "invented": invented_residual(pair.content, output),
            "feature_distance": feature_distance(features, self.content_features),
        }
        if pair.truth is not None:
            figures |= {"psnr": psnr(output, pair.truth), "ssim": color_ssim(output, pair.truth)}
        return {key: value.item() for key, value in figures.items()}


def open_encoder(pairs: Path, teacher: Path | None = None) -> tuple[Encoder, str]:
    """Return the encoder to score with, and its description for reports.

    The teacher gives the figures of the README. The compact encoder's Gram distances differ from it by .002 on average
    and by .015 at most (58 images of the authors' pairs); the ranking is the same.

    Args:
        pairs: the folder of pairs.
        teacher: the teacher's file. None looks for `teacher/vgg19_pca.npz` in the parent of `pairs`; without it, the
            shipped compact encoder scores.

    Raises:
        CheckpointError: the file is missing, truncated or foreign.
    """
    beside = pairs.resolve().parent / "teacher" / TEACHER
    path = beside if teacher is None and beside.is_file() else teacher
    if path is None:
        return CompactEncoder(), "the compact encoder, distilled from VGG-19; Gram distances agree to about .01"
    check_file(path, "file of weights", CheckpointError)
    return TeacherEncoder(path), f"VGG-19 in its PCA bases, {path}"


def mean_figures(rows: Iterable[Mapping[str, float]]) -> Figures:
    """Return the mean of each figure over the rows in which it is finite."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            if isfinite(value):
                values.setdefault(key, []).append(value)
    return {key: sum(values[key]) / len(values[key]) for key in MEASURES if key in values}


def show(key: str, value: float | None) -> str:
    """Format a figure for a report; a dash stands for a missing one."""
    return "–" if value is None or not isfinite(value) else f"{value:.{MEASURES[key].digits}f}"  # noqa: RUF001
