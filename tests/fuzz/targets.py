"""The readers that are fuzzed, and the requests to `lookcast web`.

A reader returns a result, or raises an `InputError` of one line that names the file.
"""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from lookcast.checkpoints import load_checkpoint
from lookcast.checks import InputError
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.index import INDEX, shard_name
from lookcast.generators import FittedGenerator
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_photo
from lookcast.weights import save_weights
from tests.fuzz import requests
from tests.looks import baked_look, save_look, save_universal
from tests.photo_files import DISPLAY_P3, IPTC, XMP, exif, png16
from tests.runs import save_mask
from tests.shard_sets import save_folder, save_shards, save_striped_masks

MAX_PIXELS = 100_000
"""Limit of the photos and masks, so that a lying header costs no time."""
MAX_MESSAGE = 1500
"""Largest number of characters of a message. The name of the file takes up to half of them."""


class Target(NamedTuple):
    """A reader to fuzz.

    Attributes:
        seeds: function that writes valid files into an empty folder, and returns their bytes.
        read: function that reads bytes, with a folder for temporary files. It may return the line of a refusal.
        repair: function that corrects the checksums and lengths of changed bytes, so that changes reach deep code.
    """

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[bytes, Path], str | None]
    repair: Callable[[bytes], bytes]


def run(name: str, data: bytes, folder: Path) -> str | None:
    """Read bytes by a target. Return None for a result, or the line of the `InputError` or of the refusal.

    Raises:
        AssertionError: the message has several lines or does not name the file, or a file is left behind.
    """
    target = TARGETS[name]
    try:
        return target.read(data, folder)
    except InputError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, message
        assert str(folder) in message, message
        assert len(message) < MAX_MESSAGE, message
        return message
    finally:
        for path in folder.iterdir():
            path.unlink()


def _contents(paths: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def _checkpoint_seeds(folder: Path) -> list[bytes]:
    paths = [save_look(folder / "transform.safetensors", "transform"), save_universal(folder / "universal.safetensors")]
    fitted = FittedGenerator.from_grid(identity_grid(1, 2, 2, 3))
    header = {"generator": {"name": fitted.name, "arguments": fitted.arguments}, "licence": "test"}
    save_weights(folder / "fitted.safetensors", "generator", fitted.state_dict(), header)
    baked = baked_look(torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0)))
    header["generator"] = {"name": baked.name, "arguments": baked.arguments, "encoder": None}
    small = {name: tensor for name, tensor in baked.state_dict().items() if "places" not in name}
    save_weights(folder / "baked.safetensors", "generator", small, header)
    return _contents([*paths, folder / "fitted.safetensors", folder / "baked.safetensors"])


def _read_checkpoint(data: bytes, folder: Path) -> None:
    path = folder / "look.safetensors"
    path.write_bytes(data)
    generator, header = load_checkpoint(path)
    stylizer = Stylizer(generator, header, "cpu")
    content = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    result = stylizer.stylize(content, content[:4] if generator.takes_style else None)
    assert result.shape == content.shape
    assert result.dtype == np.uint8


def repair_safetensors(data: bytes) -> bytes:
    """Set the length of the header to the end of its JSON value and the spaces after the value."""
    text = data[8 : 1 << 16].decode("latin-1")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return data
    end += len(text[end:]) - len(text[end:].lstrip(" "))
    return struct.pack("<Q", end) + data[8:]


def _mask_seeds(folder: Path) -> list[bytes]:
    paths = [save_mask(folder / f"mask{suffix}", (9, 7)) for suffix in (".png", ".jpg", ".tif", ".webp", ".gif")]
    mask = Image.open(paths[0])
    for mode in ("P", "RGBA", "1", "L", "CMYK"):
        paths.append(folder / f"{mode}.tif")
        mask.convert(mode).save(paths[-1])
    mask.convert("P").save(folder / "palette.png", transparency=0)
    colors = np.asarray(mask).astype(np.uint16) * 257
    return [*_contents([*paths, folder / "palette.png"]), png16(colors, 2)]


def _read_mask(data: bytes, folder: Path) -> None:
    path = folder / "mask.png"
    path.write_bytes(data)
    labels = read_mask(path, None, MAX_PIXELS)
    assert labels.dtype == torch.uint8
    assert labels.max() < 9
    read_mask(path, (14, 18), MAX_PIXELS)


def _photo_seeds(folder: Path) -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    image, paths = Image.fromarray(pixels), []
    named = {"exif": exif(6, (9, 7)), "icc_profile": DISPLAY_P3}
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "MPO", "PPM", "TGA", "ICO", "JPEG2000"):
        paths.append(folder / f"photo.{kind}")
        image.save(paths[-1], kind, **named, **({"xmp": XMP} if kind == "JPEG" else {}))
    for mode in ("CMYK", "L", "LAB", "I;16", "F", "1"):
        paths.append(folder / f"{mode}.tif")
        made = image.convert("L").convert("F").point(lambda level: level / 255) if mode == "F" else None
        made = made or (Image.fromarray(pixels[..., 0].astype(np.uint16)) if mode == "I;16" else None)
        made = made or Image.frombytes("LAB", image.size, image.tobytes()) if mode == "LAB" else made
        (made or image.convert(mode)).save(paths[-1], "TIFF", tiffinfo={33723: IPTC})
    image.save(folder / "progressive.jpg", "JPEG", progressive=True, **named)
    image.save(folder / "image.heic", "HEIF", **named)
    return [*_contents([*paths, folder / "progressive.jpg", folder / "image.heic"]), png16(pixels.astype("u2"), 2)]


def _read_photo(data: bytes, folder: Path) -> None:
    path = folder / "photo.jpg"
    path.write_bytes(data)
    for lenient in (False, True):
        photo = read_photo(path, MAX_PIXELS, lenient)
        assert photo.pixels.ndim == 3
        assert photo.pixels.shape[2] == 3


def repair_png(data: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    repaired, place = bytearray(data), 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        repaired[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(repaired)


_SHARD_LENGTH = struct.Struct("<I")


def _shard_seeds(folder: Path) -> list[bytes]:
    seeds = []
    names = ("a.jpg", "b.png")
    photos = save_folder(folder / "photos", names)
    masks = save_striped_masks(folder / "masks", photos, names)
    for format in ("npy", "jpg", "png"):
        shards = save_shards(folder / format, photos, masks, format, min_side=16)
        index, tar = (shards / INDEX).read_bytes(), (shards / shard_name(0)).read_bytes()
        seeds.append(_SHARD_LENGTH.pack(len(index)) + index + tar)
    return seeds


def _read_shards(data: bytes, folder: Path) -> None:
    length = _SHARD_LENGTH.unpack(data[:4].ljust(4, b"\0"))[0]
    (folder / INDEX).write_bytes(data[4 : 4 + length])
    (folder / shard_name(0)).write_bytes(data[4 + length :])
    photos = PhotoShards(folder)
    for number in range(min(len(photos), 4)):
        photos.name(number)
        decoded = photos.read(number)
        assert decoded.pixels.ndim == 3
        assert decoded.pixels.dtype == np.uint8


def repair_shards(data: bytes) -> bytes:
    """Correct the checksums of the description with its table, and of the photos, in the bytes of a shard target."""
    length = _SHARD_LENGTH.unpack(data[:4].ljust(4, b"\0"))[0]
    index, tar = bytearray(data[4 : 4 + length]), data[4 + length :]
    if len(index) < 32:
        return data
    size = int.from_bytes(index[24:28], "little")
    try:
        fields = json.loads(bytes(index[32 : 32 + size]))
        end = 32 + size + 24 * fields["shards"]
        photos = fields["photos"]
        index[20:24] = struct.pack("<I", zlib.crc32(index[32:end]))
        for place in range(end, min(end + 16 * photos, len(index) - 15), 16):
            block, photo, mask, _ = struct.unpack_from("<4I", index, place)
            stop = 512 * block + (-(-photo // 512) * 512 + 512 + mask if mask else photo)
            struct.pack_into("<I", index, place + 12, zlib.crc32(tar[512 * block : stop]))
    except (ValueError, TypeError, KeyError):
        return data
    return data[:4] + bytes(index) + tar


TARGETS = {
    "checkpoint": Target(_checkpoint_seeds, _read_checkpoint, repair_safetensors),
    "mask": Target(_mask_seeds, _read_mask, repair_png),
    "photo": Target(_photo_seeds, _read_photo, repair_png),
    "requests": Target(requests.seeds, requests.read, lambda data: data),
    "shards": Target(_shard_seeds, _read_shards, repair_shards),
}
