"""Files of weights: lookcast's own files with a JSON header, and state dicts of other libraries.

Reading a file never executes code from it.
"""

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.paths import check_file

FORMAT_VERSION = 1
MAX_WEIGHT = 1e4
"""Largest accepted magnitude of a weight. Trained weights are below 100. Larger weights give black or white images."""
_MAX_HEADER = 16 << 20  # characters
_FLOATING = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class CheckpointError(InputError):
    """Error for a file of weights that is missing, damaged, not from lookcast, or does not match the network."""


def save_weights(path: str | Path, kind: str, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a header as one `.safetensors` file, atomically.

    Args:
        path: the file to write.
        kind: kind of the weights, such as `generator`. `read_header` checks the kind.
        tensors: a dict from the name of each weight to its tensor.
        header: JSON values. They are stored as one JSON string, because safetensors metadata can hold only strings.

    Raises:
        InputError: the file can't be written.
    """
    metadata = {"lookcast": json.dumps({"format_version": FORMAT_VERSION, "kind": kind, **header})}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_header(path: str | Path, kind: str) -> dict[str, Any]:
    """Read the header of a file that `save_weights` wrote, without the tensors.

    Args:
        path: the file to read.
        kind: expected kind of the weights.

    Raises:
        CheckpointError: the file is not a regular file, is damaged, was not written by lookcast, or has another kind or
            a newer format.
    """
    with _open(path) as file:
        text = (file.metadata() or {}).get("lookcast")
    if text is None:
        raise CheckpointError(f"{path}: a .safetensors file that lookcast did not write")
    try:
        if len(text) > _MAX_HEADER:
            raise ValueError("too long")
        header: dict[str, Any] = json.loads(text)
        version, found = header["format_version"], header["kind"]
        if type(version) is not int or not isinstance(found, str):
            raise TypeError("other types than save_weights writes")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path}: its header is not one that lookcast writes") from error
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {version}, this lookcast reads up to {FORMAT_VERSION}; update lookcast"
        )
    if found != kind:
        raise CheckpointError(f"{path}: holds weights of kind {found[:40]!r}, expected {kind!r}")
    return header


def read_weights(path: str | Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a file that `save_weights` wrote. The values of the tensors are not checked.

    Returns:
        The tensors on the CPU, in a dict from name to tensor; and the header.

    Raises:
        CheckpointError: see `read_header`.
    """
    header = read_header(path, kind)
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 (not a dict)


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load the weights of a `.safetensors` file into a module, with the checks of `load_into`.

    Names and shapes are compared before any tensor is read.

    Raises:
        CheckpointError: the file is damaged, or the weights do not match the module.
    """
    with _open(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        _check_shapes(module, shapes, path)
        load_into(module, {name: file.get_tensor(name) for name in shapes}, path)


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the tensors of another library's state dict, from a `.safetensors` file or a file of `torch.save`.

    Entries that are not tensors, such as an epoch number, are left out.

    Returns:
        A dict from each name to its tensor, on the CPU.

    Raises:
        CheckpointError: the file is not a regular file, or holds no complete state dict.
    """
    path = check_file(path, "file of weights", CheckpointError)
    if path.suffix == ".safetensors":
        with _open(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        _check_unpacked_size(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror or error})") from error
    except Exception as error:  # torch.load can raise any exception for a file that is not a state dict
        raise CheckpointError(f"{path}: not a whole state dict that torch.load(weights_only=True) reads") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a state dict, the file holds a {type(state).__name__}")
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def load_into(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Load tensors into a module after checking their names, shapes, types and values.

    If the module is on the meta device, its weights become copies of the tensors on the CPU. Floating-point copies are
    float32, whatever the default type of torch is.

    Args:
        module: the network. Build the network under `torch.device("meta")` to allocate no memory before the checks.
        tensors: a dict from the name of each weight to its tensor.
        path: the file from which the tensors come, for messages.

    Raises:
        CheckpointError: a weight is missing, unexpected, of another shape or type, not finite, or above `MAX_WEIGHT` in
            magnitude. The message names the first such weight.
    """
    _check_shapes(module, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    state = module.state_dict()
    checked = {name: _check_values(name, tensors[name], state[name], path) for name in state}
    on_meta = any(tensor.is_meta for tensor in state.values())
    if on_meta:
        # copy=True, because the tensors share the mapped memory of the file, which another process may change.
        checked = {
            name: tensor.to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
            for name, tensor in checked.items()
        }
    module.load_state_dict(checked, assign=on_meta)


@contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    path = check_file(path, "checkpoint", CheckpointError)
    try:
        file = safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError, RuntimeError) as error:  # RuntimeError: the file can't be mapped into memory
        raise CheckpointError(f"{path}: not a whole .safetensors file ({' '.join(str(error).split())})") from error
    with file:
        yield file


def _check_unpacked_size(path: Path) -> None:
    """Refuse a zip file that unpacks to more bytes than the file has. Files of `torch.save` are not compressed."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            if sum(entry.file_size for entry in file.infolist()) > path.stat().st_size:
                raise ValueError("compressed entries")


def _check_shapes(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], path: str | Path) -> None:
    state, network = module.state_dict(), type(module).__name__
    for name in sorted(state.keys() | shapes.keys()):
        if name not in shapes:
            raise CheckpointError(f"{path}: lacks the weight {name!r} of {network}")
        if name not in state:
            raise CheckpointError(f"{path}: has a weight {name[:100]!r} that {network} does not know")
        if shapes[name] != state[name].shape:
            raise CheckpointError(f"{path}: weight {name!r} has shape {shapes[name]}, expected {(*state[name].shape,)}")


def _check_values(name: str, tensor: torch.Tensor, expected: torch.Tensor, path: str | Path) -> torch.Tensor:
    integral = not (expected.is_floating_point() or expected.is_complex())
    fits = tensor.dtype == expected.dtype if integral else tensor.dtype in _FLOATING
    if not fits or tensor.layout != torch.strided or tensor.is_meta:
        found = "no data" if tensor.is_meta else f"{tensor.layout} {tensor.dtype}".replace("torch.", "")
        wanted = f"{expected.dtype}".removeprefix("torch.") if integral else "floating point"
        raise CheckpointError(f"{path}: weight {name!r} holds {found}, expected {wanted}")
    largest = 0.0 if integral or not tensor.numel() else tensor.abs().max().item()  # NaN if any value is NaN
    if not largest <= MAX_WEIGHT:
        found = f"{largest:.3g}" if math.isfinite(largest) else "values that are not finite"
        raise CheckpointError(f"{path}: weight {name!r} holds {found}, expected magnitudes up to {MAX_WEIGHT:g}")
    return tensor
