"""The command line and the Python lines that give the same file as a result of the page."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from lookcast.checkpoints import DEFAULT_CHECKPOINT
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
        words += ["--auto-masks", "scenes"]
    if look.refine:
        words += ["--refine", str(look.refine)]
    if strength != 1:
        words += ["--strength", f"{strength:g}"]
    if (checkpoint := _checkpoint(looks, result)) is not None:
        words += ["--checkpoint", checkpoint]
    words += ["-o", f"{_plain(stem_of(result))}{suffix}"]
    return shlex.join(words)


def python_lines(looks: Looks, result: Result, strength: float = 1.0, suffix: str = ".jpg") -> str:
    """Return the Python lines that write a result; see `command_line`.

    A photo of 16 bits goes from file to file, because `stylize` returns a PIL image, which has 8 bits.
    """
    look, content = result.look, _file(result.content)
    styles = [_file(style) for style, _ in look.styles]
    weights = [weight for _, weight in look.styles]
    mixed = len(set(weights)) > 1
    masks = [mask_name(style) for style, _ in look.styles] if look.use_masks is True else []
    target = f"{_plain(stem_of(result))}{suffix}"
    checkpoint = _checkpoint(looks, result)
    options = [f"strength={strength:g}"] if strength != 1 else []
    options += [f"refine={look.refine}"] if look.refine else []
    imports = ["import lookcast"]
    lines = [f"stylizer = lookcast.load({'' if checkpoint is None else repr(checkpoint)})"]
    if look.use_masks == "auto":
        imports += [
            "from lookcast.segmenters import SceneSegmenter",
            "from lookcast.segmenters.auto_masks import AutoMasks",
        ]
    if result.content.bit_depth == 16:
        imports = ["from pathlib import Path", "", *imports, "from lookcast.inference.jobs import Job"]
        imports += ["from lookcast.inference.photo_files import read_styles, stylize_file"]
        if styles:
            given = [_paths(styles), *([_paths(masks)] if masks else [])]
            lines.append(f"styles = read_styles({', '.join([*given, *([f'weights={weights}'] if mixed else [])])})")
            lines.append("stylizer.set_style(styles)")
        options += ["auto_masks=AutoMasks(SceneSegmenter(), styles)"] if look.use_masks == "auto" else []
        mask = f", Path({mask_name(result.content)!r})" if masks else ""
        job = f"Job(Path({content!r}), Path({target!r}){mask})"
        lines.append(f"stylize_file({', '.join(['stylizer', job, *options])})")
    elif look.use_masks == "auto":
        if mixed:
            imports.append("from lookcast.structures import StyleInput")
            given = [f"StyleInput({style!r}, weight={weight:g})" for style, weight in zip(styles, weights, strict=True)]
        else:
            given = [repr(style) for style in styles]
        lines.append(f"masks = AutoMasks(SceneSegmenter(), [{', '.join(given)}])({content!r})")
        lines.append(f"photo = stylizer.stylize({', '.join([repr(content), '**masks', *options])})")
        lines.append(f"photo.save({target!r})")
    else:
        arguments = [repr(content), *([_one_or_list(styles)] if styles else [])]
        if masks:
            arguments += [f"content_mask={mask_name(result.content)!r}", f"style_mask={_one_or_list(masks)}"]
        arguments += [f"weights={weights}"] if mixed else []
        lines.append(f"photo = stylizer.stylize({', '.join([*arguments, *options])})")
        lines.append(f"photo.save({target!r})")
    return "\n".join([*imports, "", *lines])


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
    return None if name == DEFAULT_CHECKPOINT else name


def _paths(names: Sequence[str]) -> str:
    return f"[{', '.join(f'Path({name!r})' for name in names)}]"


def _one_or_list(names: Sequence[str]) -> str:
    return repr(names[0]) if len(names) == 1 else repr(list(names))
