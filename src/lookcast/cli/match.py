"""The command `lookcast match`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lookcast.cli.options import add_overwrite, path
from lookcast.cli.streams import say, set_up_logging

if TYPE_CHECKING:
    import torch

    from lookcast.fitting.match import Match

LOOK = ".safetensors"
"""Suffix of the file of a look."""


def match(argv: list[str]) -> int:
    """Run `lookcast match`."""
    args = build_parser().parse_args(argv)
    from lookcast.checks import InputError
    from lookcast.fitting.heat_map import heat_map
    from lookcast.fitting.match import match_photos
    from lookcast.inference.export.tables import check_table, size_to_fit, write_table
    from lookcast.inference.jobs import check_distinct, check_inputs_kept, check_place
    from lookcast.photos.photo import Photo
    from lookcast.photos.read import to_pixels, write_photo

    set_up_logging()
    look = args.out.suffix.lower() == LOOK
    if look and args.size is not None:
        raise InputError("--size: is the size of a table; a look has none")
    size = None if look else check_table(args.out, args.size)
    written = [args.out] + ([] if args.heatmap is None else [args.heatmap])
    for target in written:
        check_place(target)
    check_distinct((Path(f"output {number}"), target) for number, target in enumerate(written, 1))
    if not args.overwrite:
        check_inputs_kept(written, (("a photo to read", photo) for photo in (args.before, args.after)))
    if args.heatmap is not None and args.heatmap.suffix.lower() != ".png":
        raise InputError(f"{args.heatmap}: --heatmap writes a file whose name ends with .png")
    before, after = _read(args.before), _read(args.after)
    if size is None:
        found = match_photos(before, after, aligned=args.no_align, look=True)
        _save_look(args.out, found)
    else:
        found = match_photos(before, after, size_to_fit(size), aligned=args.no_align)
        assert found.lut is not None
        write_table(args.out, found.lut, size)
    if args.heatmap is not None:
        write_photo(args.heatmap, Photo(to_pixels(heat_map(before, found.errors))))
    say(f"{args.out}: {found}")
    return 0


def _save_look(file: Path, found: "Match") -> None:
    """Write the grid as a checkpoint for `lookcast stylize`. Its header keeps the errors."""
    from lookcast import __version__
    from lookcast.checkpoints import save_checkpoint
    from lookcast.generators.fitted import FittedGenerator

    assert found.grid is not None
    errors = {"mean": found.mean, "percentile_95": found.percentile_95, "unexplained": found.unexplained}
    save_checkpoint(file, FittedGenerator.from_grid(found.grid), {"lookcast": __version__, "match": errors})


def _read(path: Path) -> "torch.Tensor":
    """Read a photo as float32 sRGB `(1, 3, H, W)` in [0, 1]. 16 bits keep their precision."""
    import numpy as np
    import torch

    from lookcast.photos.color import to_srgb
    from lookcast.photos.read import read_photo

    photo = read_photo(path)
    pixels = to_srgb(photo.pixels, photo.icc_profile)
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))[None]
    return planes / float(np.iinfo(pixels.dtype).max)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="lookcast match",
        description="Find the colour table, or the look, that makes AFTER of BEFORE, two photos of one scene: for "
        "example a neutral raw development and the JPEG of the camera. `lookcast stylize --checkpoint` applies a look, "
        "other programs apply a table, which is more exact. The photos may differ in size, crop and lens correction. "
        "Local edits and clipped pixels don't bend the result. Needs scikit-image: pip install 'lookcast[match]'.",
        epilog="The command prints the error in CIELAB (dE 76). Exit code: 0; 2 for bad input.",
    )
    parser.add_argument("before", type=path, metavar="BEFORE", help="photo to start from")
    parser.add_argument("after", type=path, metavar="AFTER", help="photo to reach")
    parser.add_argument(
        "-o",
        "--out",
        type=path,
        required=True,
        metavar="FILE",
        help="file to write: a table (.cube, or .png for a HaldCLUT) or a look (.safetensors)",
    )
    parser.add_argument(
        "--size",
        type=int,
        metavar="N",
        help="number of grid points per axis. .cube: 17, 33 (default) or 65; .png: 36, 64 (default) or 144",
    )
    parser.add_argument(
        "--heatmap",
        type=path,
        metavar="FILE",
        help="PNG with the error of each pixel over the dimmed photo: purple for 5 dE, orange for 10, pale yellow for "
        "20 or more; blue where AFTER shows nothing",
    )
    parser.add_argument(
        "--no-align", action="store_true", help="compare the photos pixel by pixel, without looking for a shift"
    )
    add_overwrite(parser)
    return parser
