"""Options that several commands take."""

import argparse
from pathlib import Path


def add_look(parser: argparse.ArgumentParser) -> None:
    """Whose look: a checkpoint, and style photos for a universal one."""
    parser.add_argument(
        "--style",
        action="append",
        type=Path,
        default=[],
        metavar="PHOTO",
        help="photo with the look; several are mixed",
    )
    parser.add_argument("--weights", type=_numbers, metavar="W,W", help="shares of several --style photos, such as 2,1")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help=".safetensors file, or the name of a shipped one; default: universal"
    )


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]
