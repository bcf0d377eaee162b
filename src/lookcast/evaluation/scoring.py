"""The metrics of a report, and a class that computes the metrics of an image."""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import torch

from lookcast.encoders.base import Encoder
from lookcast.encoders.compact import CompactEncoder
from lookcast.encoders.teacher import TeacherEncoder
from lookcast.evaluation.pair_folder import PairImages
from lookcast.metrics.photo import (
    affine_residual,
    color_difference,
    color_ssim,
    edge_ssim,
    flat_spread,
    invented_residual,
    psnr,
)
from lookcast.metrics.style import feature_distance, gram_distance, sliced_wasserstein
from lookcast.paths import check_file
from lookcast.structures import Features
from lookcast.weights import CheckpointError

TEACHER = "vgg19_pca.npz"

Figures = dict[str, float]
"""The values of metrics. Each key is the key of the metric in `MEASURES`."""


class Measure(NamedTuple):
    """The description of a metric.

    Attributes:
        title: the name of the metric in tables.
        higher_is_better: True if larger values are better.
        digits: number of decimals in tables.
        about: the meaning of the metric, in one line.
    """

    title: str
    higher_is_better: bool
    digits: int
    about: str


MEASURES = {
    "edge_ssim": Measure("Edge SSIM", True, 3, "structure: SSIM between the edges of content and output"),
    "gram": Measure("Gram", False, 3, "style: relative distance between the Gram matrices of the regions"),
    "swd": Measure(
        "Lab SWD", False, 1, "colour: sliced Wasserstein distance between output and style in CIELAB, per region"
    ),
    "affine": Measure(
        "Affine", False, 4, "photorealism: share of local variance that no affine map of the content explains"
    ),
    "invented": Measure(
        "Invented",
        False,
        1,
        "photorealism: like Affine, at a coarse scale, in 8-bit levels; finds clouds, stains, halos",
    ),
    "flat": Measure(
        "Flat", False, 1, "photorealism: spread of the output where the content is flat, in 8-bit levels; finds halos"
    ),
    "feature_distance": Measure(
        "Features", False, 3, "content: distance between normalised features; a good look also increases this distance"
    ),
    "psnr": Measure("PSNR", True, 2, "peak signal-to-noise ratio against the truth, in decibels"),
    "ssim": Measure("SSIM", True, 3, "structural similarity to the truth"),
    "delta_e": Measure("dE", False, 2, "mean colour difference to the truth in CIELAB (CIE 1976)"),
}
"""All metrics, in the order of the report. PSNR, SSIM and dE exist only for pairs with a truth. Flat is NaN if the
content has no flat areas."""


class Scorer:
    """An object that scores any number of images against the photos of one pair.

    The features of the content and of the style are computed only once. Scoring runs on the CPU, so that the scores of
    different runs agree. On a GPU, TensorFloat-32 would change the third digit.

    Args:
        pair: the content, the style, the masks and the truth, with which images are compared.
        encoder: the encoder whose features `gram` and `feature_distance` compare.
    """

    def __init__(self, pair: PairImages, encoder: Encoder) -> None:
        self.pair, self.encoder = pair, encoder
        with torch.inference_mode():
            self.content_features: Features = encoder(pair.content)
            self.style_features: Features = encoder(pair.style)

    @torch.inference_mode()
    def score(self, output: torch.Tensor) -> Figures:
        """Return the metrics of an output `(1, 3, H, W)`, with PSNR, SSIM and dE only if the pair has a truth.

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
            "flat": flat_spread(pair.content, output),
            "feature_distance": feature_distance(features, self.content_features),
        }
        if pair.truth is not None:
            figures |= {"psnr": psnr(output, pair.truth), "ssim": color_ssim(output, pair.truth)}
            figures |= {"delta_e": color_difference(output, pair.truth)}
        return {key: value.item() for key, value in figures.items()}


def open_encoder(pairs: Path, teacher: Path | None = None) -> tuple[Encoder, str]:
    """Open the encoder whose features the metrics compare. Return the encoder and a description of it for reports.

    The published scores use VGG-19, which is the teacher of the compact encoder. The Gram distances of the two encoders
    differ by .002 on average and by .015 at most, on 58 images of the authors' pairs. The two encoders give the same
    ranking.

    Args:
        pairs: the folder of pairs.
        teacher: the file with the teacher's weights. None selects `teacher/vgg19_pca.npz` in the parent folder of
            `pairs`, or the shipped compact encoder if this file does not exist.

    Raises:
        CheckpointError: the file is missing or truncated, or does not contain the teacher's weights.
    """
    beside = pairs.resolve().parent / "teacher" / TEACHER
    path = beside if teacher is None and beside.is_file() else teacher
    if path is None:
        return (
            CompactEncoder(),
            "the compact encoder, distilled from VGG-19; its Gram distances are accurate to about .01",
        )
    check_file(path, "file of weights", CheckpointError)
    return TeacherEncoder(path), f"VGG-19 in its PCA bases, {path}"


def mean_figures(rows: Iterable[Mapping[str, float]]) -> Figures:
    """Return the mean of each metric over the rows, without values that are missing or not finite."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            if isfinite(value):
                values.setdefault(key, []).append(value)
    return {key: sum(values[key]) / len(values[key]) for key in MEASURES if key in values}


def show(key: str, value: float | None) -> str:
    """Format a metric value for a report. A dash stands for a value that is missing or not finite."""
    return "–" if value is None or not isfinite(value) else f"{value:.{MEASURES[key].digits}f}"  # noqa: RUF001
