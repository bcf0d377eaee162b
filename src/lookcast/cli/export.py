"""The command `lookcast export`."""

import argparse
from itertools import chain

from lookcast.cli.options import add_look, add_overwrite, path, word
from lookcast.cli.streams import say, set_up_logging

FORMATS = ("onnx", "pt2", "cube", "hald")
TABLES = ("cube", "hald")
"""Formats that hold a colour table."""


def export(argv: list[str]) -> int:
    """Run `lookcast export`."""
    args = build_parser().parse_args(argv)
    from lookcast.checkpoints import find_checkpoint
    from lookcast.inference.jobs import check_inputs_kept, check_place, photos_in
    from lookcast.inference.photo_files import read_styles
    from lookcast.inference.stylizer import load
    from lookcast.photos.read import read_srgb

    set_up_logging()
    _check_combinations(args)
    photos = photos_in(args.photo)
    check_place(args.out)
    if not args.overwrite:
        inputs = chain(
            (("a style photo", style) for style in args.style),
            (("one of the photos to read", photo) for photo in photos),
            [("the checkpoint", find_checkpoint(args.checkpoint))],
        )
        check_inputs_kept([args.out], inputs)
    stylizer = load(args.checkpoint, "cpu" if args.format == "onnx" and args.device == "auto" else args.device)
    styles = read_styles(args.style, weights=args.weights) or None
    pixels = [read_srgb(photo) for photo in photos]
    if args.format in TABLES:
        from lookcast.inference.export.cube import export_cube

        result = str(export_cube(stylizer, args.out, pixels, styles, args.size))
    else:
        if args.format == "onnx":
            from lookcast.inference.export.onnx import export_onnx as write
        else:
            from lookcast.inference.export.pt2 import export_pt2 as write

        checked = pixels or [style.photo for style in styles or ()]
        result = f"differs from PyTorch by at most {write(stylizer, args.out, styles, checked):.1e}"
    say(f"{args.out}: {result}")
    return 0


def _check_combinations(args: argparse.Namespace) -> None:
    """Refuse invalid combinations of options; messages name the options as on the command line."""
    from lookcast.checks import InputError

    suffix = ".png" if args.format == "hald" else f".{args.format}"
    if args.out.suffix.lower() != suffix:
        raise InputError(f"{args.out}: --format {args.format} writes a file whose name ends with {suffix}")
    if args.size is not None and args.format not in TABLES:
        raise InputError("--size: needs --format cube or hald")
    if args.weights is not None and not args.style:
        raise InputError("--weights: needs --style")
    if args.format in TABLES and not args.photo:
        raise InputError(
            f"--photo: --format {args.format} needs a photo or a folder of photos, to which the table is fitted"
        )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="lookcast export",
        description="Write a look for other programs. onnx: for any ONNX runtime; pt2: compiled by PyTorch for this "
        "kind of machine. An onnx or pt2 takes photos of any size, and is compared with PyTorch. cube: "
        "one table of colours for grading tools, fitted to photos; hald: the same table as a HaldCLUT, a 16-bit PNG "
        "for darktable, RawTherapee, ART and G'MIC. A table treats all regions of a photo alike.",
        epilog="A universal checkpoint without --style gives an onnx or pt2 with two inputs, content and style.",
    )
    parser.add_argument("--format", choices=FORMATS, required=True)
    add_look(parser)
    parser.add_argument(
        "--photo",
        action="append",
        type=path,
        default=[],
        metavar="PHOTO",
        help="photo, or folder of photos; may be repeated. cube, hald: the table is fitted to these photos; onnx, pt2: "
        "the file is checked on these photos",
    )
    parser.add_argument(
        "--size",
        type=int,
        metavar="N",
        help="number of grid points per axis. cube: 17, 33 (default) or 65; hald: 36, 64 (default) or 144, which are "
        "the levels 6, 8 and 12",
    )
    parser.add_argument(
        "--device", default="auto", type=word, help="auto (default), cpu, cuda, cuda:1; a pt2 runs only on this kind"
    )
    parser.add_argument("-o", "--out", type=path, required=True, metavar="FILE", help="file to write")
    add_overwrite(parser)
    return parser
