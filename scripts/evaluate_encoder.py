#!/usr/bin/env python3
"""Measure the figures in the compact encoder's model card.

    python scripts/evaluate_encoder.py --teacher vgg19_pca.npz --pairs PAIRS --photos PHOTOS [--weights FILE]

The script prints two kinds of figures. The first is the Spearman rank correlation between the segmented Gram distances
of the compact encoder and those of its teacher. The images are the contents and the published results of the pairs. The
second is, for each tap, the share of the variance of the teacher's standardised live channels that the encoder explains
on the 100 held-out photos.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from distill_encoder import explained_variance, read_photos
from scipy.stats import spearmanr
from tqdm import tqdm

from lookcast.encoders.compact import TAPS, CompactEncoder
from lookcast.encoders.teacher import TeacherEncoder
from lookcast.losses.style import SegmentedStyleLoss
from lookcast.ops.masks import labels_to_mask
from lookcast.ops.regions import absent_labels, label_shares
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_srgb
from lookcast.structures import Features

LONGEST = 512


def read_image(path: Path, size: tuple[int, int] | None = None) -> torch.Tensor:
    """Read a photo as `(1, 3, H, W)` in [0, 1], at a given size, or at 512 px on its longer side (multiples of 8)."""
    image = torch.from_numpy(read_srgb(path)).permute(2, 0, 1)[None].float() / 255
    if size is None:
        scale = LONGEST / max(image.shape[-2:])
        size = (int(image.shape[-2] * scale) // 8 * 8, int(image.shape[-1] * scale) // 8 * 8)
    return F.interpolate(image, size, mode="bilinear", antialias=True).clamp(0, 1)


def read_regions(path: Path, size: torch.Size) -> torch.Tensor:
    """Read a mask and return it one-hot at a given size."""
    return labels_to_mask(F.interpolate(read_mask(path)[None, None], size, mode="nearest")[0])


@torch.inference_mode()
def distances(encoder: CompactEncoder, teacher: TeacherEncoder, pairs: Path) -> tuple[list[float], list[float]]:
    """Return the distances by the encoder, then those by the teacher.

    They are segmented Gram distances to the style photo, of the content and of the published result of each pair.
    """
    distance = SegmentedStyleLoss(TAPS)
    ours, theirs = [], []
    for path in tqdm(sorted((pairs / "content").iterdir()), desc="pairs"):
        content, style = read_image(path), read_image(pairs / "style" / path.name)
        size = content.shape[-2:]
        content_mask = read_regions(pairs / "content_mask" / path.name, size)
        style_mask = read_regions(pairs / "style_mask" / path.name, style.shape[-2:])
        # Leave out labels that the style lacks, as in the published figures.
        absent = absent_labels(label_shares(content_mask), label_shares(style_mask))
        content_mask = content_mask.masked_fill(absent[..., None, None], 0)
        for image in (content, read_image(pairs / "dpst" / path.name, tuple(size))):
            for network, values in ((encoder, ours), (teacher, theirs)):
                features: tuple[Features, Features] = network(image), network(style)
                values.append(distance(*features, content_mask, style_mask).item())
    return ours, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="vgg19_pca.npz: the teacher's weights")
    parser.add_argument("--pairs", type=Path, required=True, help="folder with content/, style/, dpst/ and the masks")
    parser.add_argument("--photos", type=Path, required=True, help="the folder given to distill_encoder.py")
    parser.add_argument("--weights", type=Path, help="default: the shipped weights")
    args = parser.parse_args()
    encoder, teacher = CompactEncoder(args.weights), TeacherEncoder(args.teacher)
    ours, theirs = distances(encoder, teacher, args.pairs)
    print(f"rank correlation with the teacher's Gram distance, {len(ours)} images: {spearmanr(ours, theirs)[0]:.4f}")
    _, held_out = read_photos(args.photos)
    for tap, value in explained_variance(encoder, teacher, held_out).items():
        print(f"explained variance at {tap}: {value:.4f}")


if __name__ == "__main__":
    main()
