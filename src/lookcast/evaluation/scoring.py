"""All figures of one image, and what they mean."""

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
from lookcast.structures import Features

TEACHER = "vgg19_pca.npz"

Figures = dict[str, float]
"""By the key of a `Measure`."""


class Measure(NamedTuple):
    """What one figure is.

    Attributes:
        title: as the head of a column.
        higher_is_better: which way is better.
        digits: behind the point, where it is shown.
        about: one sentence.
    """

    title: str
    higher_is_better: bool
    digits: int
    about: str


MEASURES = {
    "edge_ssim": Measure("Edge SSIM", True, 3, "structure kept: SSIM of the edges of content and output"),
    "gram": Measure("Gram", False, 3, "style: relative distance of the regions' Gram matrices, output to style photo"),
    "swd": Measure("Lab SWD", False, 1, "colour: sliced Wasserstein distance of the regions' colours in CIELAB"),
    "affine": Measure(
        "Affine", False, 4, "photorealism: share of the output's local variance that no affine map of the content gives"
    ),
    "invented": Measure(
        "Invented", False, 1, "the same at a coarse scale, in 8-bit levels: clouds, stains, halos the content lacks"
    ),
    "feature_distance": Measure(
        "Features", False, 3, "content: distance of normalised features, unlearned; a good look moves it too"
    ),
    "psnr": Measure("PSNR", True, 2, "against the truth, in decibels"),
    "ssim": Measure("SSIM", True, 3, "against the truth"),
}
"""Every figure by its key, in the order in which reports show them; the last two only where there is a truth."""


class Scorer:
    """Scores the images of one pair; features of content and style are computed once.

    On the CPU, whatever stylizes: on a GPU TensorFloat-32 would move the third digit, and figures are to be compared.

    Args:
        pair: what it is scored against.
        encoder: whose features `gram` and `feature_distance` compare.
    """

    def __init__(self, pair: PairImages, encoder: Encoder) -> None:
        self.pair, self.encoder = pair, encoder
        with torch.inference_mode():
            self.content_features: Features = encoder(pair.content)
            self.style_features: Features = encoder(pair.style)

    @torch.inference_mode()
    def score(self, output: torch.Tensor) -> Figures:
        """Figures of an output, `(1, 3, H, W)` of the content's size; those against the truth where there is one.

        Raises:
            ShapeError: another shape.
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
    """The encoder to score with, and what a report calls it.

    Args:
        pairs: the folder of pairs; `../teacher/vgg19_pca.npz` beside it is taken if it is there.
        teacher: the teacher's file; None looks for it, and falls back to the shipped compact encoder, whose Gram
            distances were off by .002 on average, .015 at most, on 58 images of the authors' pairs, in the same order.

    Raises:
        CheckpointError: the file is missing, cut or foreign.
    """
    beside = pairs.resolve().parent / "teacher" / TEACHER
    path = beside if teacher is None and beside.is_file() else teacher
    if path is None:
        return CompactEncoder(), "the compact encoder, distilled from VGG-19; Gram distances agree to about .01"
    return TeacherEncoder(path), f"VGG-19 in its PCA bases, {path}"


def mean_figures(rows: Iterable[Mapping[str, float]]) -> Figures:
    """Mean of each figure over the rows that have it as a finite number."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            if isfinite(value):
                values.setdefault(key, []).append(value)
    return {key: sum(values[key]) / len(values[key]) for key in MEASURES if key in values}


def show(key: str, value: float | None) -> str:
    """A figure as reports write it; a dash where there is none."""
    return "–" if value is None or not isfinite(value) else f"{value:.{MEASURES[key].digits}f}"  # noqa: RUF001
