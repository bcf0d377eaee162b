#!/usr/bin/env python3
"""Measure how the metrics change with the number of refinement steps: the tables of docs/fit.md.

    python scripts/evaluate_refine.py --pairs PAIRS
    python scripts/evaluate_refine.py --pairs PAIRS --no-masks

PAIRS is a folder as for `lookcast evaluate`. Contents have 512 px. Each row has the means of the metrics over the
pairs, for the outputs of `lookcast stylize --refine STEPS`; the last row is `lookcast fit`.
"""

import argparse
import math
from pathlib import Path

from tqdm import tqdm

import lookcast
from lookcast.evaluation.pair_folder import find_pairs, read_pair, shrink, to_compare
from lookcast.evaluation.scoring import MEASURES, Figures, Scorer, mean_figures, open_encoder
from lookcast.fitting.look_fit import LookFit
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_srgb

SIDE, STEPS = 512, (0, 5, 10, 20, 40, 60, 100)
REFINE: list[int | LookFit] = [*STEPS, LookFit()]
COLUMNS = {"edge_ssim": 3, "gram": 3, "swd": 2, "affine": 4, "invented": 1, "flat": 1}
"""Number of decimals of each metric."""


def main() -> None:
    """Stylize all pairs with each number of steps, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--checkpoint", help="default: the shipped universal checkpoint")
    parser.add_argument("--no-masks", action="store_true", help="stylize without masks; the metrics use them anyway")
    args = parser.parse_args()
    stylizer, encoder = lookcast.load(args.checkpoint, device="cpu"), open_encoder(args.pairs)[0]
    rows: list[list[Figures]] = [[] for _ in REFINE]
    for files in tqdm(find_pairs(args.pairs), unit="pair", disable=None):
        images, content, style = read_pair(files), shrink(read_srgb(files.content), SIDE), read_srgb(files.style)
        masks = [
            read_mask(path, photo.shape[:2]) if files.masked and not args.no_masks else None
            for path, photo in ((files.content_mask, content), (files.style_mask, style))
        ]
        scorer = Scorer(images, encoder)
        for row, refine in zip(rows, REFINE, strict=True):
            output = stylizer.stylize(content, style, *masks, refine=refine)
            row.append(scorer.score(to_compare(output, tuple(images.content.shape[-2:]))))
    print("| steps |", " | ".join(MEASURES[key].title for key in COLUMNS), "|")
    for name, row in zip([*STEPS, "`lookcast fit`"], rows, strict=True):
        means = mean_figures(row)
        values = (f"{means.get(key, math.nan):.{digits}f}" for key, digits in COLUMNS.items())
        print(f"| {name} |", " | ".join(values), "|")


if __name__ == "__main__":
    main()
