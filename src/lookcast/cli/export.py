"""`lookcast export`."""

import argparse
from pathlib import Path

from lookcast.cli.options import add_look

FORMATS = ("onnx", "pt2", "cube")


def export(argv: list[str]) -> int:
    """`lookcast export`."""
    args = _parser().parse_args(argv)
    import logging

    from lookcast.inference.export.command import export_file

    logging.basicConfig(format="lookcast: %(message)s")
    measured = export_file(
        args.format, args.out, args.checkpoint, args.style, args.weights, args.photo, args.size, args.device
    )
    print(f"{args.out}: {measured}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lookcast export",
        description="Write a look for other programs. onnx: for any ONNX runtime; pt2: compiled by PyTorch for this "
        "kind of machine; both take photos of any size and are checked against PyTorch. cube: one table of colours for "
        "grading tools, fitted to photos; it knows no places.",
        epilog="A universal checkpoint without --style gives an onnx or pt2 with two inputs, content and style.",
    )
    parser.add_argument("--format", choices=FORMATS, required=True)
    add_look(parser)
    parser.add_argument(
        "--photo",
        action="append",
        type=Path,
        default=[],
        metavar="PHOTO",
        help="cube: photo, or folder of photos, to fit to; otherwise: to check the file on; may be repeated",
    )
    parser.add_argument("--size", type=int, metavar="N", help="cube: steps a side, 17, 33 (default) or 65")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1; a pt2 runs on that kind")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="file to write")
    return parser
