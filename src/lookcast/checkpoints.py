"""A generator in one file: its weights, and a header that rebuilds it."""

import zipfile
from pathlib import Path
from typing import Any

from lookcast.checks import describe
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import GENERATORS, Generator
from lookcast.paths import shipped
from lookcast.weights import CheckpointError, load_into, read_weights, save_weights

KIND = "generator"
UNIVERSAL = "universal"
"""Name of the shipped checkpoint that serves by default."""

__all__ = ["KIND", "UNIVERSAL", "CheckpointError", "find_checkpoint", "load_checkpoint", "save_checkpoint"]


def find_checkpoint(path_or_name: str | Path | None) -> Path:
    """Return the file of a checkpoint.

    Args:
        path_or_name: a path; or the name, without folder and suffix, of a checkpoint that ships with lookcast; or None
            for the universal one.

    Raises:
        CheckpointError: no checkpoint of this name ships, an empty text, or neither a path nor a text.
    """
    if path_or_name is None:
        file = shipped("checkpoints") / f"{UNIVERSAL}.safetensors"
        if not file.is_file():
            raise CheckpointError(
                "this version of lookcast ships no universal checkpoint: pass the path of a checkpoint"
            )
        return file
    if not isinstance(path_or_name, str | Path):
        raise CheckpointError(f"checkpoint: expected a path or a name, got {describe(path_or_name)}")
    if not str(path_or_name):  # what an unset variable of a shell leaves
        raise CheckpointError("checkpoint: expected a path or a name, got an empty text")
    if Path(path_or_name).name != str(path_or_name) or Path(path_or_name).suffix:
        return Path(path_or_name)
    file = shipped("checkpoints") / f"{path_or_name}.safetensors"
    if not file.is_file():
        raise CheckpointError(
            f"{path_or_name}: no checkpoint of this name ships with lookcast; a file needs its path and suffix"
        )
    return file


def save_checkpoint(path: str | Path, generator: Generator, header: dict[str, Any]) -> None:
    """Write a generator for inference, whole or not at all.

    Args:
        path: the `.safetensors` file.
        generator: its name and arguments go into the header, under `generator`.
        header: what else a reader should know, JSON values: `encoder`, `training` (the config), `metrics`, `licence`.

    Raises:
        InputError: the file can't be written.
    """
    described = {**header, "generator": {"name": generator.name, "arguments": generator.arguments}}
    if generator.needs_encoder:
        described["generator"]["encoder"] = generator.encoder.weights
    # Of the file, not of the generator: a header that was loaded has those of the file it came from.
    for key in ("format_version", "kind"):
        described.pop(key, None)
    save_weights(path, KIND, generator.state_dict(), described)


def load_checkpoint(path: str | Path) -> tuple[Generator, dict[str, Any]]:
    """Rebuild a generator from what `save_checkpoint` wrote; nothing in the file is executed.

    Returns:
        The generator on the CPU, in evaluation mode, and the header.

    Raises:
        CheckpointError: missing, cut or foreign file, a generator that this version does not know, arguments or
            weights that do not fit it.
    """
    path = Path(path)
    if zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path}: a file of torch.save, such as a training checkpoint (.ckpt); "
            "expected the .safetensors file that the same run wrote"
        )
    tensors, header = read_weights(path, KIND)
    described = header.get("generator")
    if not isinstance(described, dict) or not isinstance(described.get("arguments"), dict):
        raise CheckpointError(f"{path}: its header does not say which generator it holds")
    name, arguments = described.get("name"), described["arguments"]
    if not isinstance(name, str) or name not in GENERATORS:
        known = ", ".join(sorted(GENERATORS))
        raise CheckpointError(f"{path}: holds a generator {name!r}, this lookcast knows {known}")
    try:
        kind = GENERATORS[name]
        # Its own encoder, if it was trained with other weights than those that ship.
        encoder = {"encoder": CompactEncoder(described.get("encoder"))} if kind.needs_encoder else {}
        generator = kind(**encoder, **arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: arguments that the {name} generator does not take ({reason})") from error
    load_into(generator, tensors, path)
    return generator.eval(), header
