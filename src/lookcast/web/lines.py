"""The command line and the Python lines that give the same file as a result of the page."""

import shlex
from pathlib import Path

from lookcast.web.looks import Looks
from lookcast.web.photos import StoredPhoto
from lookcast.web.results import Result, stem_of


def command_line(looks: Looks, result: Result, strength: float = 1.0, suffix: str = ".jpg") -> str:
    """Return the command line that writes a result.

    Args:
        looks: the checkpoints.
        result: the result.
        strength: see `Stylizer.stylize`.
        suffix: suffix of the file.
    """
    look, masked = result.look, result.look.use_masks is True
    words = ["lookcast", "stylize", _file(result.content)]
    for style, _ in look.styles:
        words += ["--style", _file(style)]
    if len({weight for _, weight in look.styles}) > 1:
        words += ["--weights", ",".join(f"{weight:g}" for _, weight in look.styles)]
    if masked:
        words += ["--content-mask", mask_name(result.content)]
        for style, _ in look.styles:
            words += ["--style-mask", mask_name(style)]
    if look.use_masks == "auto":
        words += ["--auto-masks", "clusters"]
    if look.refine:
        words += ["--refine", str(look.refine)]
    if strength != 1:
        words += ["--strength", f"{strength:g}"]
    if (checkpoint := _checkpoint(looks, result)) is not None:
        words += ["--checkpoint", checkpoint]
    words += ["-o", f"{stem_of(result.content, look.styles)}{suffix}"]
    return shlex.join(words)


def python_lines(looks: Looks, result: Result, strength: float = 1.0, suffix: str = ".jpg") -> str:
    """Return the Python lines that write a result; see `command_line`."""
    return ""


def mask_name(photo: StoredPhoto) -> str:
    """Return the name of a photo's mask file."""
    return _plain(f"{Path(photo.name).stem}_mask.png")


def _file(photo: StoredPhoto) -> str:
    return _plain(photo.name)


def _plain(name: str) -> str:
    """Return a file name that no program reads as an option."""
    return f"./{name}" if name.startswith("-") else name


def _checkpoint(looks: Looks, result: Result) -> str | None:
    """Return the name or the file name of a checkpoint; None for the default of lookcast."""
    name = result.look.checkpoint
    if looks.path(name) is not None:
        return f"{name}.safetensors"
    return None if name == "universal" else name
