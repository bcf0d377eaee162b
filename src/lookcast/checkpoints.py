"""Checkpoints for inference: one file with the weights of a generator and a header that describes the generator."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from lookcast.checks import InputError, describe
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import GENERATORS, Generator
from lookcast.paths import check_file, shipped
from lookcast.weights import CheckpointError, load_weights, read_header, save_weights

KIND = "generator"
DEFAULT_CHECKPOINT = "universal_free"
"""Name of the shipped checkpoint that is loaded by default."""
_MAX_REASON = 400  # characters of a message that quotes the header of a file

__all__ = ["DEFAULT_CHECKPOINT", "KIND", "CheckpointError", "find_checkpoint", "load_checkpoint", "save_checkpoint"]


def find_checkpoint(path_or_name: str | Path | None) -> Path:
    """Return the path of a checkpoint.

    Args:
        path_or_name: a path, or the name of a checkpoint that ships with lookcast (without folder and suffix). None
            stands for the shipped universal checkpoint.

    Raises:
        CheckpointError: no checkpoint of this name ships with lookcast, or the argument is empty, or the argument is
            neither a path nor a string.
    """
    if path_or_name is None:
        file = shipped("checkpoints") / f"{DEFAULT_CHECKPOINT}.safetensors"
        if not file.is_file():
            raise CheckpointError(
                "this version of lookcast ships no universal checkpoint: pass the path of a checkpoint"
            )
        return file
    if not isinstance(path_or_name, str | Path):
        raise CheckpointError(f"checkpoint: expected a path or a name, got {describe(path_or_name)}")
    if not str(path_or_name):  # for example from an unset shell variable
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
    """Write a generator for inference, atomically.

    Args:
        path: the `.safetensors` file to write.
        generator: the generator. Its name and arguments are stored in the header, under `generator`.
        header: additional JSON values for the header: `encoder`, `training` (the config), `metrics`, `licence`.

    Raises:
        InputError: the file can't be written.
    """
    described = {**header, "generator": {"name": generator.name, "arguments": generator.arguments}}
    if generator.needs_encoder:
        described["generator"]["encoder"] = generator.encoder.weights
    # A `header` from a loaded checkpoint holds that file's version and kind. `save_weights` writes the current ones.
    for key in ("format_version", "kind"):
        described.pop(key, None)
    save_weights(path, KIND, generator.state_dict(), described)


def load_checkpoint(path: str | Path) -> tuple[Generator, dict[str, Any]]:
    """Load a generator from a file that `save_checkpoint` wrote. Nothing in the file is executed.

    The header and the names, shapes and values of the weights are checked before the network is allocated. The weights
    are float32 on the CPU, whatever the default type and the default device of torch are.

    Returns:
        The generator on the CPU, in evaluation mode, and the header.

    Raises:
        CheckpointError: the file is not a regular file, is damaged, or was not written by lookcast; this version does
            not know the generator; or the arguments or weights do not match the generator.
    """
    path = check_file(path, "checkpoint", CheckpointError)
    if zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path}: a file of torch.save, such as a training checkpoint (.ckpt); "
            "expected the .safetensors file that the same run wrote"
        )
    header = read_header(path, KIND)
    described = header.get("generator")
    if not isinstance(described, dict) or not isinstance(described.get("arguments"), dict):
        raise CheckpointError(f"{path}: its header does not say which generator it holds")
    name, arguments = described.get("name"), described["arguments"]
    if not isinstance(name, str) or name not in GENERATORS:
        known = ", ".join(sorted(GENERATORS))
        raise CheckpointError(f"{path}: holds a generator {repr(name)[:60]}, this lookcast knows {known}")
    encoder = {"encoder": _load_encoder(described.get("encoder"), path)} if GENERATORS[name].needs_encoder else {}
    try:
        with torch.device("meta"):  # allocates no memory before the weights are checked
            generator = GENERATORS[name](**encoder, **arguments)
    except (TypeError, InputError) as error:
        raise CheckpointError(f"{path}: arguments that the {name} generator does not take ({_plain(error)})") from error
    load_weights(generator, path)
    return generator.eval(), header


def _load_encoder(weights: Any, path: Path) -> CompactEncoder:
    """Load the encoder of a checkpoint from its file of weights; None stands for the file that ships with lookcast."""
    if weights is not None and not isinstance(weights, str):
        raise CheckpointError(f"{path}: its header names no file of weights for its encoder")
    try:
        return CompactEncoder(weights)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: its encoder can't be loaded ({_plain(error)})") from error


def _plain(error: Exception) -> str:
    """Return a message that quotes the header of a file as one short line, which can't control a terminal."""
    line = " ".join(str(error).split())[:_MAX_REASON]
    return "".join(character if character.isprintable() else "?" for character in line)
