"""What `lookcast export` does: files in, one file out."""

from collections.abc import Sequence
from pathlib import Path

from lookcast.checks import InputError
from lookcast.inference.export.cube import export_cube
from lookcast.inference.export.onnx import export_onnx
from lookcast.inference.export.pt2 import export_pt2
from lookcast.inference.jobs import list_photos
from lookcast.inference.stylizer import load
from lookcast.photos.read import read_srgb


def export_file(
    kind: str,
    out: Path,
    checkpoint: str | None = None,
    styles: Sequence[Path] = (),
    weights: Sequence[float] | None = None,
    photos: Sequence[Path] = (),
    size: int | None = None,
    device: str = "auto",
) -> str:
    """Export a checkpoint, or a style photo through it.

    Args:
        kind: `onnx`, `pt2` or `cube`.
        out: the file to write.
        checkpoint: as `load` takes it.
        styles: style photos.
        weights: their shares.
        photos: files, or folders that stand for the photos directly in them: what a `.cube` is fitted to, and what the
            others are checked on beside a random image.
        size: of a `.cube`; None takes 33.
        device: to compute on, for a `.pt2` also to run on. ONNX is exported on the CPU.

    Returns:
        What was measured, one line.

    Raises:
        InputError: what does not go together, or can't be read or written.
    """
    if out.suffix.lower() != f".{kind}":
        raise InputError(f"{out}: --format {kind} writes a file whose name ends with .{kind}")
    if size is not None and kind != "cube":
        raise InputError("--size: is of --format cube only")
    if weights is not None and not styles:
        raise InputError("--weights: needs --style")
    if kind == "cube" and not photos:
        raise InputError("--photo: --format cube is fitted to photos, so it needs one or a folder of them")
    stylizer = load(checkpoint, "cpu" if kind == "onnx" and device == "auto" else device)
    style = [read_srgb(path) for path in styles] or None
    pixels = [read_srgb(path) for path in list_photos(photos)]
    if kind == "cube":
        return str(export_cube(stylizer, out, pixels, style, weights, 33 if size is None else size))
    write = export_onnx if kind == "onnx" else export_pt2
    difference = write(stylizer, out, style, weights, pixels or style or ())
    return f"differs from PyTorch by at most {difference:.1e}"
