"""Generators and photo files that tests of inference and of the command line share."""

import struct
from pathlib import Path

import skimage.data
import torch
from PIL import Image

from lookcast.generators import GENERATORS, Generator
from lookcast.inference.checkpoint import save_checkpoint

SMALL = {
    "bilateral": {"depth": 4, "height": 4, "width": 4, "channels": 16, "blocks": 1, "thumbnail": 64},
    "transform": {"channels": 4, "blocks": 1},
}


def look(name: str = "bilateral", seed: int = 0) -> Generator:
    """A small generator with a visible look: a fresh one is the identity, so its head is moved away from that."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = GENERATORS[name](**SMALL[name])
        torch.nn.init.normal_(generator.head.weight, std=0.02)
        torch.nn.init.normal_(generator.head.bias, std=0.15)
    return generator.eval()


def save_look(path: Path, name: str = "bilateral", seed: int = 0) -> Path:
    """The checkpoint of `look`."""
    save_checkpoint(path, look(name, seed), {"licence": "test"})
    return path


def save_photo(path: Path, name: str = "chelsea", **options: object) -> Path:
    """A crop of one of scikit-image's photographs, 96 x 64 pixels, as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(getattr(skimage.data, name)()[60:124, 100:196]).save(path, **options)
    return path


def icc_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """The smallest ICC profile (version 2, printer class) of a colour space, from its tags."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        **tags,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">2I", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    connection = b"XYZ " if space == b"GRAY" else b"Lab "
    header = struct.pack(">I4sI", 128 + len(table) + len(body), b"lcms", 0x02100000) + b"prtr" + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


LINEAR_GREY = icc_profile(b"GRAY", {b"kTRC": b"curv" + bytes(8)})
"""Grey whose levels are proportional to light."""


def _black_only() -> bytes:
    """A table of 2x2x2x2 nodes to Lab: white without black ink, black with it, whatever the other inks do."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    nodes = 8 * (bytes((255, 128, 128)) + bytes((0, 128, 128)))
    return b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + 4 * ramp + nodes + 3 * ramp


BLACK_ONLY_CMYK = icc_profile(b"CMYK", {b"A2B0": _black_only()})
"""Inks of which only the black one prints: no conversion without the profile leaves the others out."""
