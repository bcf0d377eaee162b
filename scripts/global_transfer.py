#!/usr/bin/env python3
"""Write the global colour transfer of each pair of a folder: the baseline in the tables of the README and of the docs.

    python scripts/global_transfer.py --pairs PAIRS -o OUTPUTS
    lookcast evaluate --pairs PAIRS --outputs OUTPUTS --teacher vgg19_pca.npz -o report

One affine map changes all colours of the content. It is the Monge-Kantorovich map between two Gaussians, which have the
mean and the covariance of the RGB colours of content and style: `A = C^-1/2 (C^1/2 S C^1/2)^1/2 C^-1/2`, with the
covariances C and S (Pitié and Kokaram, CVMP 2007). Masks are not used.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from lookcast.atomic import atomic_write
from lookcast.evaluation.pair_folder import find_pairs
from lookcast.photos.read import read_srgb

FLOOR = 1e-6
"""Added to the variances, so that a grey photo has an inverse covariance."""


def global_transfer(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Return the content `(H, W, 3)` with the mean and the covariance of the style's colours, uint8."""
    (mean_c, cov_c), (mean_s, cov_s) = (moments(photo) for photo in (content, style))
    root = matrix_root(cov_c)
    inverse = np.linalg.inv(root)
    matrix = inverse @ matrix_root(root @ cov_s @ root) @ inverse
    output = (content / 255 - mean_c) @ matrix.T + mean_s
    return (output.clip(0, 1) * 255).round().astype(np.uint8)


def moments(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean `(3,)` and the covariance `(3, 3)` of the colours of a uint8 photo, scaled to [0, 1]."""
    colors = photo.reshape(-1, 3) / 255
    return colors.mean(0), np.cov(colors, rowvar=False) + FLOOR * np.eye(3)


def matrix_root(matrix: np.ndarray) -> np.ndarray:
    """Return the symmetric root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def main() -> None:
    """Write one PNG for each pair, named like its content."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, metavar="FOLDER", help="folder with content/ and style/")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    for pair in tqdm(find_pairs(args.pairs, None, ignore=[]), unit="pair", disable=None):
        output = global_transfer(read_srgb(pair.content), read_srgb(pair.style))
        with atomic_write(args.out / f"{pair.content.stem}.png") as temporary:
            Image.fromarray(output).save(temporary, format="png")


if __name__ == "__main__":
    main()
