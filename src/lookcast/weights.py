"""Files of weights: lookcast's own, with a JSON header, and foreign ones. No pickle, one clear line for a bad file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from lookcast.atomic import atomic_write
from lookcast.checks import InputError

FORMAT_VERSION = 1


class CheckpointError(InputError):
    """A file of weights is missing, cut, foreign or does not fit what it is loaded into."""


def save_weights(path: str | Path, kind: str, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a header of JSON values as one `.safetensors` file, whole or not at all.

    Args:
        path: the file to write.
        kind: what the file holds, `generator` or `encoder`; checked when it is read.
        tensors: the weights by name.
        header: JSON values; safetensors' own metadata holds strings only, so it is stored as one JSON text.
    """
    metadata = {"lookcast": json.dumps({"format_version": FORMAT_VERSION, "kind": kind, **header})}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_weights(path: str | Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_weights` wrote.

    Returns:
        The tensors by name, on the CPU, and the header.

    Raises:
        CheckpointError: missing, cut or foreign file, another kind, or a format newer than this version reads.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("lookcast")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole .safetensors file ({error})") from error
    if text is None:
        raise CheckpointError(f"{path}: a .safetensors file, but not one of lookcast's")
    try:
        header: dict[str, Any] = json.loads(text)
        version, found = int(header["format_version"]), header["kind"]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: its header is not one that lookcast writes") from error
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {version}, this lookcast reads up to {FORMAT_VERSION}; update lookcast"
        )
    if found != kind:
        raise CheckpointError(f"{path}: holds the weights of a {found}, expected a {kind}")
    return tensors, header


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a foreign state dict, `.safetensors` or what `torch.save` wrote; no pickled code is run.

    What else the file holds, such as the number of an epoch, is left out.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        CheckpointError: a missing or unreadable file, or one that holds no whole state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file of weights")
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from error
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole .safetensors file ({error})") from error
    except Exception as error:  # on bytes that are no state dict torch.load raises whatever they lead it to
        raise CheckpointError(f"{path}: not a whole state dict that torch.load(weights_only=True) reads") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a state dict, holds a {type(state).__name__}")
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def load_into(module: nn.Module, tensors: dict[str, torch.Tensor], path: str | Path) -> None:
    """Load tensors into a module; every name and shape must agree.

    Raises:
        CheckpointError: names the first weight that is missing, unexpected or of another shape.
    """
    state = module.state_dict()
    for name in sorted(state.keys() | tensors.keys()):
        if name not in tensors:
            raise CheckpointError(f"{path}: lacks the weight {name!r} of {type(module).__name__}")
        if name not in state:
            raise CheckpointError(f"{path}: has a weight {name!r} that {type(module).__name__} does not know")
        if tensors[name].shape != state[name].shape:
            raise CheckpointError(
                f"{path}: weight {name!r} has shape {tuple(tensors[name].shape)}, expected {tuple(state[name].shape)}"
            )
    module.load_state_dict(tensors)
