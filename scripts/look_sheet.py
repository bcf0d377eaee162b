#!/usr/bin/env python3
"""Write a sheet with every content in every style, such as the picture of docs/fit.md.

    python scripts/look_sheet.py -o sheet.jpg
    python scripts/look_sheet.py --contents A.jpg B.jpg --styles C.jpg D.jpg --checkpoint look.safetensors -o sheet.png
    python scripts/look_sheet.py --refine 0 10 60 -o docs/fit.jpg

The first column shows the contents, and the first row shows the styles. With `--refine`, each row shows a content, one
style, and an output for each number of steps. A photo is a file, or `sample:NAME` for a bundled photo.
"""

import argparse
from pathlib import Path

import numpy as np

import lookcast
from lookcast.data.sources.samples import PREFIX, sample_path
from lookcast.inference.demo import write_sheet
from lookcast.photos.read import read_srgb

CONTENTS, STYLES = (
    ("sample:china", "sample:flower", "sample:astronaut"),
    ("sample:coffee", "sample:rocket", "sample:chelsea"),
)


def read(name: str) -> np.ndarray:
    """Return the pixels of a photo file, or of a bundled photo (`sample:NAME`)."""
    return read_srgb(sample_path(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else Path(name))


def main() -> None:
    """Stylize each content with each style, and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", nargs="+", default=CONTENTS)
    parser.add_argument("--styles", nargs="+", default=STYLES)
    parser.add_argument("--refine", nargs="+", type=int, metavar="N", help="numbers of optimisation steps")
    parser.add_argument("--checkpoint", help="default: the shipped universal checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    stylizer, contents = lookcast.load(args.checkpoint), [read(name) for name in args.contents]
    styles = [read(name) for name in args.styles]
    if args.refine:
        rows = [
            [content, style, *(stylizer.stylize(content, style, refine=steps) for steps in args.refine)]
            for content, style in zip(contents, styles, strict=True)
        ]
    else:
        rows = [
            [None, *styles],
            *([content, *(stylizer.stylize(content, style) for style in styles)] for content in contents),
        ]
    write_sheet(args.out, rows)
    print(args.out)


if __name__ == "__main__":
    main()
