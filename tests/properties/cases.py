"""One case for each public function of `ops` and `metrics`, and for each term of `losses`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from lookcast.losses import color, content, deep_photo, flatness, photorealism, smoothness, style
from lookcast.metrics import photo
from lookcast.metrics import style as style_metrics
from lookcast.ops import (
    cholesky,
    clusters,
    color_grid,
    gram,
    local_affine,
    lut,
    masks,
    regions,
    resize,
    smoothing,
    transport,
)  # fmt: skip
from lookcast.ops import color as colors
from lookcast.ops.bilateral import dispatch, reference
from lookcast.structures import Stylization
from tests.properties import draws
from tests.properties.tensors import FLOATS, INTEGERS, Source


class Case(NamedTuple):
    """Calls of a function.

    Attributes:
        function: the function.
        arguments: function that draws the arguments of a call.
        roundings: see `assert_same`. 16 is for sums of a few terms; further values are for sums over pixels, for
            solutions of 3x3 systems and for square roots, which amplify rounding.
        types: types of the tensors.
        nan: see `assert_same`.
    """

    function: Callable[..., Any]
    arguments: Callable[[Source], draws.Arguments]
    roundings: float = 16
    types: tuple[torch.dtype, ...] = FLOATS + INTEGERS
    nan: bool = False


def color_loss(**arguments: Any) -> torch.Tensor:
    loss = color.ColorLoss(directions=3, levels=8, side=6)
    loss.generator = torch.Generator().manual_seed(0)
    return loss(**arguments)


def deep_photo_loss(image: Any, style: Any, stylized: Any, truth: Any, grid: Any, features: Any) -> Any:
    colors_term = color.ColorLoss(directions=3, levels=8, side=6)
    colors_term.generator = torch.Generator().manual_seed(0)
    terms = content.ContentLoss("ab"), style_term, colors_term, photorealism.GuidedPenalty(5, 0.125, 1)
    loss = deep_photo.DeepPhotoLoss(*terms, 1, 1, 0.125, 1, 1, 1, 1, 1, 1)
    return loss(image, style, Stylization(stylized, grid), *features, truth=truth)


def lut_at_the_pairs(source: torch.Tensor, target: torch.Tensor, size: int) -> torch.Tensor:
    """Only the colours at the pairs are well determined."""
    table = lut.fit_lut(source, target, size)
    return lut.apply_lut(table, source.to(table.dtype).T.reshape(1, 3, 1, -1))


def applied_to_pixels(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """The reference for float64, which the kernels do not take."""
    if pixels.dtype != torch.float64:
        return dispatch.apply_grid_to_pixels(grid, pixels)
    return dispatch.apply_grid(grid[None], pixels.permute(2, 0, 1)[None])[0].clamp(0, 1).permute(1, 2, 0)


def applied_to_rows(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """The lower half of the rows."""
    top = len(pixels) // 2
    if pixels.dtype != torch.float64:
        return dispatch.apply_grid_to_rows(grid, pixels, top, len(pixels))
    return applied_to_pixels(grid, pixels)[top:]


style_term = style.SegmentedStyleLoss("ab", max_cells=9)
PAIR = draws.two_images("content", "output", 3, 20)
RIDGE = draws.two_images("content", "output", 3, 20, eps=0.125)
TRUTH = draws.two_images("output", "truth", 1, 9)
OPS = {
    "cholesky_3x3": Case(cholesky.cholesky_3x3, draws.positive_matrices, 64, FLOATS),
    "kmeans": Case(clusters.kmeans, draws.two_clusters, 64),
    "joint_kmeans": Case(clusters.joint_kmeans, draws.two_joint_clusters, 64),
    "nearest_center": Case(clusters.nearest_center, draws.nearest),
    "luma": Case(colors.luma, draws.one_image),
    "fit_color_grid": Case(
        color_grid.fit_color_grid, lambda s: draws.color_pairs(s, depth=s.size(0, 3), gradient=0.125)
    ),
    "gram_matrix": Case(gram.gram_matrix, lambda s: {"features": draws.maps(s, s.size(0, 2))["a"]}, 64),
    "relative_distance": Case(
        gram.relative_distance, lambda s: {"gram": s.tensor(2, 3, 3), "target": s.tensor(1, 3, 3)}, 64
    ),
    "matting_energy": Case(local_affine.matting_energy, RIDGE, 256),
    "window_models": Case(local_affine.window_models, RIDGE, 256),
    "guided_residual": Case(local_affine.guided_residual, RIDGE, 256),
    "num_windows": Case(local_affine.num_windows, lambda s: {"height": s.size(3, 9), "width": s.size(3, 9)}),
    "identity_lut": Case(lut.identity_lut, lambda s: {"size": s.size(2, 5), "dtype": s.dtype}, types=FLOATS),
    "apply_lut": Case(lut.apply_lut, lambda s: {**draws.one_image(s), "lut": s.tensor(*3 * [s.size(2, 4)], 3)}, 64),
    # The solver ends at a relative residual of 1e-5, which the condition of the equations amplifies.
    "fit_lut": Case(lut_at_the_pairs, lambda s: draws.color_pairs(s, size=s.size(1, 4)), 2e4),
    "labels_to_mask": Case(masks.labels_to_mask, lambda s: {"labels": s.tensor(s.size(0, 2), s.size(0, 7), 5)}),
    "colors_to_mask": Case(masks.colors_to_mask, lambda s: {"colors": draws.one_image(s)["image"]}),
    "mask_to_colors": Case(masks.mask_to_colors, lambda s: {"mask": draws.one_mask(s)}),
    "resize_mask": Case(masks.resize_mask, lambda s: {"mask": draws.one_mask(s), "size": (s.size(0, 8), 3)}),
    "blur_mask": Case(masks.blur_mask, lambda s: {"mask": draws.one_mask(s), "radius": s.size(0, 3)}),
    "check_soft_mask": Case(masks.check_soft_mask, lambda s: {"name": "mask", "mask": draws.one_mask(s)}),
    "label_shares": Case(regions.label_shares, lambda s: {"mask": draws.one_mask(s)}),
    "absent_labels": Case(
        regions.absent_labels, lambda s: {"content_shares": s.tensor(2, 3), "style_shares": s.tensor(2, 3)}
    ),
    "fall_back": Case(regions.fall_back, draws.statistics),
    "mean_over_labels": Case(
        regions.mean_over_labels, lambda s: {"values": s.tensor(s.size(0, 2), 3), "content_shares": s.tensor(1, 3)}
    ),
    "check_mask_pair": Case(regions.check_mask_pair, lambda s: draws.two_masks(s, s.size(0, 2))),
    "resize_image": Case(
        resize.resize_image, lambda s: {**draws.one_image(s), "height": s.size(0, 5), "width": s.size(1, 12)}
    ),
    "thumbnail_of": Case(resize.thumbnail_of, lambda s: {**draws.one_image(s), "side": s.size(1, 12)}),
    "resize_pixels": Case(
        resize.resize_pixels, lambda s: {"pixels": draws.pixels(s), "size": (s.size(1, 5), s.size(1, 12))}
    ),
    "shrink_to_side": Case(
        resize.shrink_to_side, lambda s: {"x": s.tensor(s.size(0, 2), 2, 6, 6), "side": s.one_of(1, 2, 3, 4, 6)}
    ),
    "smooth_local_affine": Case(
        smoothing.smooth_local_affine, lambda s: {**RIDGE(s), "radius": s.size(0, 2), "edge": 0.5}, 256
    ),
    "color_moments": Case(transport.color_moments, draws.one_image),
    "from_opponent": Case(transport.from_opponent, lambda s: {"color": draws.one_image(s)["image"]}),
    "second_moments": Case(
        transport.second_moments,
        lambda s: {"moments": s.tensor(s.size(0, 2), transport.NUM_MOMENTS, s.size(0, 4), low=0.125, high=1)},
    ),
    # A variance in half precision may lose all its digits, and the map divides by it.
    "knothe_rosenblatt": Case(transport.knothe_rosenblatt, draws.two_moments, 4096, FLOATS[:2] + INTEGERS),
    "slice_grid": Case(reference.slice_grid, draws.grid_and_guide, 64),
    "slice_by_guides": Case(reference.slice_by_guides, draws.grid_and_guides, 64),
    "identity_grid": Case(
        reference.identity_grid, lambda s: {"batch": 2, "depth": 2, "height": s.size(0, 3), "width": 1}, types=FLOATS
    ),
    "cell_position": Case(
        reference.cell_position, lambda s: {"coordinate": s.tensor(s.size(0, 9)), "cells": 4}, types=FLOATS
    ),
    "tent_weight": Case(
        reference.tent_weight, lambda s: {"position": s.tensor(s.size(0, 9)), "centre": 0}, types=FLOATS
    ),
    "tent_matrix": Case(
        reference.tent_matrix, lambda s: {"size": s.size(0, 9), "cells": 4, "like": s.tensor(1)}, types=FLOATS
    ),
    "apply_affine": Case(reference.apply_affine, draws.image_and("coefficients", 12)),
    "slice_apply": Case(reference.slice_apply, draws.grid_guide_image, 64),
    "apply_grid": Case(dispatch.apply_grid, draws.grid_and_image, 64),
    "apply_grid_to_images": Case(dispatch.apply_grid_to_images, draws.grid_and_images, 64),
    "slice_apply_by_depth": Case(dispatch.slice_apply_by_depth, draws.grid_guide_image, 64),
    "apply_grid_to_pixels": Case(applied_to_pixels, draws.grid_and_pixels, 64),
    "apply_grid_to_rows": Case(applied_to_rows, draws.grid_and_pixels, 64),
}
LOSSES = {
    "ColorLoss": Case(color_loss, draws.output_and_style, 1024),
    "ContentLoss": Case(content.ContentLoss("ab"), draws.two_maps, 64),
    "DeepPhotoLoss": Case(deep_photo_loss, draws.whole_loss, 1024),
    "flatness_excess": Case(flatness.flatness_excess, PAIR, 256),
    "MattingPenalty": Case(photorealism.MattingPenalty(0.125), PAIR, 256),
    "GuidedPenalty": Case(photorealism.GuidedPenalty(5, 0.125, 1), PAIR, 256),
    "NoPenalty": Case(photorealism.NoPenalty(), PAIR),
    "grid_smoothness": Case(smoothness.grid_smoothness, lambda s: {"grid": draws.grid_and_image(s)["grid"]}, 64),
    "gamut_excess": Case(
        smoothness.gamut_excess, lambda s: {"image": s.tensor(s.size(0, 2), 3, s.size(0, 4), 5, low=-2, high=2)}, 64
    ),
    "SegmentedStyleLoss": Case(style_term, draws.maps_and_masks, 256),
    "PaperStyleLoss": Case(style.PaperStyleLoss("ab"), draws.maps_and_masks, 256),
}
METRICS = {
    # The edges of a flat image are square roots of 1e-12, and the SSIM of flat windows divides by 1e-4.
    "edge_ssim": Case(photo.edge_ssim, draws.two_images("content", "output", 11, 16), 65536),
    "affine_residual": Case(photo.affine_residual, PAIR),
    "invented_residual": Case(photo.invented_residual, PAIR, 65536),
    "flat_spread": Case(photo.flat_spread, PAIR, 65536, nan=True),
    "color_difference": Case(photo.color_difference, TRUTH, 64),
    "psnr": Case(photo.psnr, TRUTH, 64),
    "color_ssim": Case(photo.color_ssim, draws.two_images("output", "truth", 11, 16), 1024),
    "gram_distance": Case(style_metrics.gram_distance, draws.maps_and_masks, 256, nan=True),
    "sliced_wasserstein": Case(style_metrics.sliced_wasserstein, draws.output_and_style, 256, nan=True),
    "feature_distance": Case(style_metrics.feature_distance, draws.two_maps, 64),
    "lab": Case(style_metrics.lab, draws.one_image, 64),
}
CASES = OPS | LOSSES | METRICS
