#!/usr/bin/env python3
"""Measure how stable the look of a universal checkpoint is.

    python scripts/evaluate_stability.py --pairs PAIRS

PAIRS is a folder as for `lookcast evaluate`. The script prints means over the pairs of these measurements:

* own style: mean absolute change of a photo that is its own style photo, in 8-bit levels.
* size: mean absolute difference, in 8-bit levels, if a photo is shrunk to 512 px before instead of after stylizing.
* crops: a photo is stylized in 20 crops, each moved by 1 % of the width. The figure is the mean absolute change, in
  8-bit levels, of the pixels that neighbouring crops share.
* rough masks: change of every metric in percent, if masks are shifted by 3 % of the width, or if their largest region
  grows by 3 % of the width.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

import lookcast
from lookcast.evaluation.pair_folder import PairFiles, find_pairs, read_pair, shrink, to_compare
from lookcast.evaluation.scoring import MEASURES, Scorer, mean_figures, open_encoder, show
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_srgb

SIDE, CROPS, CROP, STEP, SHIFT = 512, 20, 0.8, 0.01, 0.03


def shifted(labels: torch.Tensor) -> torch.Tensor:
    """Move labels `(H, W)` to the right by 3 % of the width; the first column fills the gap."""
    distance = round(SHIFT * labels.shape[1])
    return torch.cat([labels[:, :1].expand(-1, distance), labels[:, :-distance]], 1)


def grown(labels: torch.Tensor) -> torch.Tensor:
    """Grow the largest region of labels `(H, W)` by 3 % of the width, in all directions."""
    distance, largest = round(SHIFT * labels.shape[1]), labels.flatten().long().bincount().argmax()
    area = (labels == largest)[None, None].float()
    for _ in range(distance):
        area = F.max_pool2d(area, 3, 1, 1)
    return torch.where(area[0, 0] > 0, largest.to(labels), labels)


def rough_masks(stylizer: Stylizer, pairs: list[PairFiles], folder: Path) -> dict[str, dict[str, float]]:
    """For exact, shifted and grown masks, return the mean of each metric over the pairs that have masks."""
    kinds: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "exact": lambda x: x,
        "shifted": shifted,
        "grown": grown,
    }
    encoder, rows = open_encoder(folder)[0], {kind: [] for kind in kinds}
    for files in tqdm([pair for pair in pairs if pair.masked], unit="pair", disable=None):
        images = read_pair(files)
        scorer = Scorer(images, encoder)
        content, style = shrink(read_srgb(files.content), SIDE), read_srgb(files.style)
        masks = read_mask(files.content_mask, content.shape[:2]), read_mask(files.style_mask, style.shape[:2])
        for kind, change in kinds.items():
            output = stylizer.stylize(content, style, *(change(mask) for mask in masks))
            rows[kind].append(scorer.score(to_compare(output, tuple(images.content.shape[-2:]))))
    return {kind: mean_figures(found) for kind, found in rows.items()}


def own_style(stylizer: Stylizer, photo: np.ndarray) -> float:
    """Return the mean absolute change of a photo that is its own style photo, in 8-bit levels."""
    pixels = photo.astype(np.float32) / 255
    return float(np.abs(stylizer.stylize(pixels, pixels) - pixels).mean()) * 255


def across_sizes(stylizer: Stylizer, photo: np.ndarray) -> float:
    """Return the mean absolute difference, in 8-bit levels, if a photo is shrunk before instead of after stylizing."""
    small = stylizer.stylize(shrink(photo, SIDE)).astype(np.float32)
    return float(np.abs(small - shrink(stylizer.stylize(photo), SIDE)).mean())


def across_crops(stylizer: Stylizer, photo: np.ndarray) -> float:
    """Return the mean absolute change, in 8-bit levels, of the pixels that neighbouring crops share."""
    width = photo.shape[1]
    step, size = max(1, round(STEP * width)), round(CROP * width)
    step = min(step, (width - size) // (CROPS - 1))
    changes, before = [], None
    for number in range(CROPS):
        crop = np.ascontiguousarray(photo[:, number * step : number * step + size]).astype(np.float32) / 255
        output = stylizer.stylize(crop)
        if before is not None:
            changes.append(np.abs(before[:, step:] - output[:, :-step]).mean())
        before = output
    return float(np.mean(changes)) * 255


def main() -> None:
    """Measure all pairs and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--checkpoint", help="default: the shipped universal checkpoint")
    args = parser.parse_args()
    stylizer, pairs = lookcast.load(args.checkpoint, device="cpu", precision="float32"), find_pairs(args.pairs)
    rows = []
    for files in tqdm(pairs, unit="pair", disable=None):
        photo = read_srgb(files.content)
        stylizer.set_style(read_srgb(files.style))
        rows.append(
            (own_style(stylizer, photo), across_sizes(stylizer, photo), across_crops(stylizer, shrink(photo, SIDE)))
        )
    for name, values in zip(
        ("own style", "512 px and full size", "series of crops"), zip(*rows, strict=True), strict=True
    ):
        print(
            f"{name:22s} mean {np.mean(values):.4f}, largest {max(values):.4f} (pair {pairs[np.argmax(values)].name})"
        )
    means = rough_masks(stylizer, pairs, args.pairs)
    for kind, figures in means.items():
        changes = (
            f"{MEASURES[key].title} {show(key, value)} ({value / means['exact'][key] - 1:+.1%})"
            for key, value in figures.items()
        )
        print(f"masks {kind:16s}", ", ".join(changes))


if __name__ == "__main__":
    main()
