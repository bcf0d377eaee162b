#!/usr/bin/env python3
"""Measure how well `lookcast match` finds the grade of photos that were graded at random.

    python scripts/evaluate_match.py --photos FOLDER [FOLDER ...]

Each photo is shrunk to 512 px and graded as a whole: brightness, contrast, saturation and hue change at random, with
fixed seeds. Then it is cut in two. The table is fitted to one half (before and after the grade), and its error (mean
dE 76 in CIELAB) is measured on the other half, whose pixels it has never seen. The second photo of the fit is:

* same: the graded half itself. `same, look` is the error of the look instead of the table.
* cropped: without 3 % of the border on each side.
* barrel: with barrel distortion, k1 = .03.
* smaller: resized to 80 % of the width and 75 % of the height.
* edited: with a brightened ellipse over 10 % of the area.

For `edited`, `untouched` is the error on the other 90 % of the same half, `clean` the error there of the table of
`same`, and `in the ellipse` the mean of the heat map in the ellipse.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as T
from kornia.color import rgb_to_lab
from PIL import Image
from tqdm import tqdm

from lookcast.fitting.heat_map import heat_map
from lookcast.fitting.match import match_photos
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.lut import apply_lut
from lookcast.ops.resize import resize_image
from lookcast.photos.read import to_pixels, to_tensor

Change = Callable[[torch.Tensor], torch.Tensor]
SIDE, CROP, DISTORTION, BRIGHTENED = 512, 0.03, 0.03, 1.4


def off(low: float, high: float) -> float:
    return random.choice((-1, 1)) * random.uniform(low, high)


def grade(photo: Image.Image) -> Image.Image:
    """Grade a photo at random, as in the self-reference protocol of CanonCGT (CVPR 2026)."""
    brightness, contrast, saturation = (1 + off(0.1, 0.4) for _ in range(3))
    hue = off(0.01, 0.05)
    changes = [
        lambda x: T.adjust_brightness(x, brightness),
        lambda x: T.adjust_contrast(x, contrast),
        lambda x: T.adjust_saturation(x, saturation),
        lambda x: T.adjust_hue(x, hue),
    ]
    random.shuffle(changes)
    for change in changes:
        photo = change(photo)
    return photo


def halves(paths: list[Path]) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Yield both halves of each photo, each before and after the grade."""
    random.seed(7)
    for path in paths:
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        before, after = (to_tensor(np.array(image)) for image in (photo, grade(photo)))
        axis = 3 if photo.width >= photo.height else 2
        half = before.shape[axis] // 2
        both = [tuple(x.narrow(axis, start, half) for x in (before, after)) for start in (0, before.shape[axis] - half)]
        if random.random() < 0.5:
            both.reverse()
        yield both


def offsets(image: torch.Tensor) -> torch.Tensor:
    """Return the positions of the pixels `(H, W, 2)` in [-1, 1], as `grid_sample` takes them."""
    return F.affine_grid(torch.eye(2, 3)[None], list(image.shape), align_corners=False)[0]


def cropped(image: torch.Tensor) -> torch.Tensor:
    rows, columns = (round(CROP * side) for side in image.shape[-2:])
    return image[..., rows:-rows, columns:-columns].contiguous()


def barrel(image: torch.Tensor) -> torch.Tensor:
    grid = offsets(image)
    sides = torch.tensor([image.shape[-1], image.shape[-2]]) / 2
    squares = (grid * sides).square().sum(-1, keepdim=True) / sides.square().sum()
    # The scale keeps the corners in the photo.
    grid = grid * (1 + DISTORTION * squares) / (1 + DISTORTION)
    return F.grid_sample(image, grid[None], mode="bicubic", align_corners=False).clamp(0, 1)


def smaller(image: torch.Tensor) -> torch.Tensor:
    return resize_image(image, round(0.75 * image.shape[-2]), round(0.8 * image.shape[-1]))


def ellipse(image: torch.Tensor) -> torch.Tensor:
    """Return a mask `(H, W)` of an ellipse over 10 % of the area; the frame has an area of 4 in units of `offsets`."""
    return offsets(image).square().sum(-1) < 0.4 / torch.pi


def edited(image: torch.Tensor) -> torch.Tensor:
    return torch.where(ellipse(image), (image * BRIGHTENED).clamp(0, 1), image)


def error(change: Change, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    return (rgb_to_lab(change(before).clamp(0, 1)) - rgb_to_lab(after)).norm(dim=1)[0]


CHANGES: dict[str, Change] = {
    "same": lambda image: image,
    "cropped": cropped,
    "barrel": barrel,
    "smaller": smaller,
    "edited": edited,
}


def main() -> None:
    """Measure all photos and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--size", type=int, default=33)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="measure every N-th photo only")
    parser.add_argument("--heatmaps", type=Path, metavar="FOLDER", help="write the heat map of every `edited` photo")
    args = parser.parse_args()
    paths = [path for folder in args.photos for path in sorted(folder.iterdir())]
    figures: dict[str, list[float]] = {}
    progress = tqdm(halves(paths), total=len(paths), unit="photo", disable=None)
    for number, (fitted, other) in enumerate(progress):
        progress.set_postfix({name: f"{np.mean(values):.2f}" for name, values in figures.items()})
        if number % args.every:
            continue
        luts = {}
        for name in args.changes:
            try:
                match = match_photos(fitted[0], CHANGES[name](fitted[1]), args.size)
            except ValueError as fault:  # no alignment
                print(f"{paths[number]}, {name}: {fault}")
                continue
            luts[name] = match.lut
            if name == "same":
                look = match_photos(*fitted, look=True)
                figures.setdefault("same, look", []).append(error(partial(apply_grid, look.grid), *other).mean().item())
            figures.setdefault(name, []).append(error(partial(apply_lut, match.lut), *other).mean().item())
            figures.setdefault(f"{name}, interpolated", []).append(float(match.resampled))
            if name == "edited":
                inside = ellipse(fitted[0])
                outside = error(partial(apply_lut, match.lut), *fitted)[~inside]
                figures.setdefault("untouched", []).append(outside.mean().item())
                figures.setdefault("in the ellipse", []).append(match.errors[inside].mean().item())
                if "same" in luts:
                    clean = error(partial(apply_lut, luts["same"]), *fitted)[~inside].mean().item()
                    figures.setdefault("clean", []).append(clean)
                if args.heatmaps is not None:
                    args.heatmaps.mkdir(parents=True, exist_ok=True)
                    picture = to_pixels(heat_map(fitted[0], match.errors))
                    Image.fromarray(picture).save(args.heatmaps / f"{number:02d}.png")
    for name, values in figures.items():
        mean, median, top = np.mean(values), np.median(values), max(values)
        print(f"{name:22s} mean {mean:.3f}  median {median:.3f}  largest {top:.3f}  ({len(values)} photos)")


if __name__ == "__main__":
    main()
