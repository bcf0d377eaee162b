"""Checkpoint files that are broken, hostile or of other programs, each with what should become of it."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from tests.looks import look
from tests.odd_inputs.photos import Make, of

GENERATOR = look("transform")
TENSORS = GENERATOR.state_dict()
HEADER = {
    "format_version": 1, "kind": "generator", "licence": "test",
    "generator": {"name": GENERATOR.name, "arguments": GENERATOR.arguments},
}  # fmt: skip
HOSTILE = "x\n\x1b[31mlookcast: error: \x00" + "y" * 5000


def file_of(tensors: dict[str, torch.Tensor] = TENSORS, header: Any = HEADER, **metadata: str) -> bytes:
    return save(tensors, metadata={"lookcast": header if isinstance(header, str) else json.dumps(header), **metadata})


def with_generator(**changes: Any) -> bytes:
    return file_of(header={**HEADER, "generator": {**HEADER["generator"], **changes}})


def with_weight(change: Callable[[torch.Tensor], torch.Tensor], name: str = "head.weight") -> bytes:
    return file_of({**TENSORS, name: change(TENSORS[name].clone()).contiguous()})


def with_last(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(weight: torch.Tensor) -> torch.Tensor:
        weight.view(-1)[-1] = value
        return weight

    return change


def with_table(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Change the table of tensors at the start of the file."""
    data = file_of()
    length = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + length])
    change(table)
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


class Runs:
    """An object whose pickle runs code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path("ran").touch, ()


def pickled(path: Path) -> None:
    torch.save({"state_dict": TENSORS, "evil": Runs()}, path)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", pickle.dumps(Runs()))
        archive.writestr("large", bytes(50_000_000))


def readable() -> Iterator[tuple[str, Make]]:
    """Unusual checkpoints that are loaded."""
    yield "usual", of(file_of())
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        yield f"{dtype}", of(file_of({name: tensor.to(dtype) for name, tensor in TENSORS.items()}))
    yield "an older format", of(file_of(header={**HEADER, "format_version": 0}))
    yield (
        "hostile notes",
        of(file_of(header={**HEADER, "licence": HOSTILE, "metrics": {HOSTILE: HOSTILE}}, other=HOSTILE)),
    )
    yield "a link", lambda path: (path.parent / "original").write_bytes(file_of()) and path.symlink_to("original")


def refused() -> Iterator[tuple[str, Make]]:
    """Files that are no checkpoints of this version."""
    data = file_of()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    for place in (0, 4, 8, 9, 100, start - 1, start, start + 4, len(data) - 1):
        yield f"cut at {place}", of(data[:place])
    yield "bytes after the end", of(data + bytes(8))
    yield from (
        (f"a table of {size} bytes", of(struct.pack("<Q", size) + data[8:])) for size in (0, 2**32, 2**63, 2**64 - 1)
    )
    yield "no JSON", of(data[:8] + b"#" * (start - 8) + data[start:])
    yield "a list as table", of(struct.pack("<Q", 2) + b"[]")
    yield "no tensors", of(struct.pack("<Q", 2) + b"{}")
    yield "of endless depth", of(struct.pack("<Q", 100_000) + b"[" * 100_000)
    for name, change in {
        "overlapping": {"data_offsets": [0, 4]}, "beyond the end": {"data_offsets": [0, 2**40]},
        "backwards": {"data_offsets": [8, 0]}, "of 2**60 elements": {"shape": [2**30, 2**30]},
        "of negative size": {"shape": [-1, 3]}, "of unknown type": {"dtype": "F7"}, "of words": {"shape": "large"},
    }.items():  # fmt: skip
        yield f"a tensor {name}", of(with_table(lambda table, change=change: table["head.bias"].update(change)))
    yield "without its metadata", of(with_table(lambda table: table.pop("__metadata__")))
    yield "metadata of numbers", of(with_table(lambda table: table.update(__metadata__={"lookcast": 3})))
    for name, header in {
        "no JSON": "{", "a list": [], "null": None, "a number": 3, "empty": {}, "of 20 MB": " " * 20_000_000 + "{}",
        "a version of the future": {**HEADER, "format_version": 99},
        "a version of words": {**HEADER, "format_version": "1"},
        "an infinite version": {**HEADER, "format_version": float("inf")},
        "another kind": {**HEADER, "kind": "encoder"},
        "a hostile kind": {**HEADER, "kind": HOSTILE}, "no generator": {**HEADER, "generator": None},
        "a generator of words": {**HEADER, "generator": "bilateral"}, "deep": "[" * 5000 + "]" * 5000,
    }.items():  # fmt: skip
        yield f"header: {name}", of(file_of(header=header))
    for name, changes in {
        "unknown": {"name": "gan"}, "hostile": {"name": HOSTILE}, "a number": {"name": 7},
        "a list": {"name": ["transform"]},
        "another": {"name": "bilateral", "arguments": {}}, "universal": {"name": "universal", "arguments": {}},
        "with an unknown argument": {"arguments": {**GENERATOR.arguments, "layers": 3}},
        "with a hostile argument": {"arguments": {**GENERATOR.arguments, HOSTILE: 3}},
        "without arguments": {"arguments": None}, "with a list of arguments": {"arguments": [4, 1]},
        "with self": {"arguments": {"self": 1}}, "of default size": {"arguments": {}},
        "whose encoder is a number": {"name": "universal", "arguments": {}, "encoder": 7},
        "whose encoder is missing": {"name": "universal", "arguments": {}, "encoder": "/nowhere/e.safetensors"},
        "whose encoder is hostile": {"name": "universal", "arguments": {}, "encoder": HOSTILE},
        "whose encoder is a device": {"name": "universal", "arguments": {}, "encoder": "/dev/zero"},
        "baked with words": {"name": "baked", "arguments": {"universal": "x"}, "encoder": None},
        "baked with unknown arguments": {"name": "baked", "arguments": {"universal": {"layers": 2}}, "encoder": None},
        "fitted of huge size": {"name": "fitted", "arguments": {"depth": 10**9, "height": 10**9, "width": 10**9}},
    }.items():  # fmt: skip
        yield f"a generator {name}", of(with_generator(**changes))
    for value in (0, -4, 10**9, 2**70, 1.5, "4", None, True, [4], {}, float("nan")):
        yield f"channels {value!r}", of(with_generator(arguments={"channels": value, "blocks": 1}))
    yield "a missing weight", of(file_of({name: tensor for name, tensor in TENSORS.items() if name != "head.bias"}))
    yield "another weight", of(file_of({**TENSORS, "extra": torch.zeros(2)}))
    yield "a weight of hostile name", of(file_of({**TENSORS, HOSTILE: torch.zeros(2)}))
    yield "prefixed weights", of(file_of({f"generator.{name}": tensor for name, tensor in TENSORS.items()}))
    yield "a turned weight", of(with_weight(lambda weight: weight.transpose(0, 1)))
    yield "an empty weight", of(with_weight(lambda weight: weight[:0]))
    yield "a flat weight", of(with_weight(torch.flatten))
    for dtype in (torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn):
        yield f"a weight of {dtype}", of(with_weight(lambda weight, dtype=dtype: weight.to(dtype)))
    for number in (float("nan"), float("inf"), -float("inf"), 1e30, -1e5):
        yield f"a weight with {number}", of(with_weight(with_last(number)))
    yield "a pickle", pickled
    yield "a plain pickle", of(pickle.dumps(Runs()))
    yield "an archive that unpacks to 50 MB", zipped
    yield "a photo", of(b"\xff\xd8\xff\xe0" + bytes(100))
    yield "a text", of(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    yield "a folder", Path.mkdir
    yield "a pipe", os.mkfifo
    yield "a device", lambda path: path.symlink_to("/dev/zero")
    yield "a link to itself", lambda path: path.symlink_to(path.name)
    yield "missing", lambda path: None
