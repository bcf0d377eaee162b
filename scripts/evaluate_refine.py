#!/usr/bin/env python3
"""Measure how the metrics change with the number of refinement steps: the tables of docs/fit.md.

    python scripts/evaluate_refine.py --pairs PAIRS
    python scripts/evaluate_refine.py --pairs PAIRS --no-masks

PAIRS is a folder as for `lookcast evaluate`. Each pair is fitted once, with contents at 512 px. A row has the means of
the metrics over the pairs, for the grids with the lowest loss so far.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import lookcast
from lookcast.evaluation.pair_folder import PairFiles, find_pairs, read_pair, shrink, to_compare
from lookcast.evaluation.scoring import MEASURES, Figures, Scorer, mean_figures, open_encoder
from lookcast.fitting.look_fit import FitState, LookFit
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid_to_pixels
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_srgb

SIDE, STEPS = 512, (0, 5, 10, 20, 40, 60, 100)
COLUMNS = {"edge_ssim": 3, "gram": 3, "swd": 2, "affine": 4, "invented": 1, "flat": 1}
"""Number of decimals of each metric."""


def grids_by_steps(stylizer: Stylizer, content: np.ndarray, files: PairFiles, masked: bool) -> list[torch.Tensor]:
    """Fit a pair, and return the grid `(12, D, GH, GW)` after each number of steps in `STEPS`."""
    style = read_srgb(files.style)
    masks = [
        read_mask(path, photo.shape[:2]) if masked and files.masked else None
        for path, photo in ((files.content_mask, content), (files.style_mask, style))
    ]
    grids: list[torch.Tensor] = []

    def keep(state: FitState) -> None:
        grids.append(state.grid[0].detach().clone())

    stylizer.stylize(content, style, *masks, refine=LookFit(steps=STEPS[-1], tolerance=0.0, on_step=keep))
    return [grids[min(step, len(grids) - 1)] for step in STEPS]


def main() -> None:
    """Fit all pairs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--checkpoint", help="default: the shipped universal checkpoint")
    parser.add_argument("--no-masks", action="store_true", help="stylize without masks; the metrics use them anyway")
    args = parser.parse_args()
    stylizer, encoder = lookcast.load(args.checkpoint, device="cpu"), open_encoder(args.pairs)[0]
    rows: list[list[Figures]] = [[] for _ in STEPS]
    for files in tqdm(find_pairs(args.pairs), unit="pair", disable=None):
        images, content = read_pair(files), shrink(read_srgb(files.content), SIDE)
        scorer = Scorer(images, encoder)
        for row, grid in zip(rows, grids_by_steps(stylizer, content, files, not args.no_masks), strict=True):
            output = apply_grid_to_pixels(grid, torch.from_numpy(content)).numpy()
            row.append(scorer.score(to_compare(output, tuple(images.content.shape[-2:]))))
    print("| steps |", " | ".join(MEASURES[key].title for key in COLUMNS), "|")
    for steps, row in zip(STEPS, rows, strict=True):
        means = mean_figures(row)
        values = (f"{means.get(key, math.nan):.{digits}f}" for key, digits in COLUMNS.items())
        print(f"| {steps} |", " | ".join(values), "|")


if __name__ == "__main__":
    main()
