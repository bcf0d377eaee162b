"""Mask files that are broken or unusual, for a photo of 24 x 16 pixels, each with what should become of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from lookcast.ops.masks import PALETTE
from tests.odd_inputs.photos import IMAGE, Make, encoded, in_mode, of, png_claiming
from tests.photo_files import DISPLAY_P3, exif, png16

COLORS = np.array([rgb for _, rgb in PALETTE], np.uint8)


def stripes(width: int = 24, height: int = 16, labels: int = 9) -> Image.Image:
    return Image.fromarray(COLORS[np.arange(width) * labels // width][None].repeat(height, 0))


MASK = stripes()
HALVES = Image.fromarray(np.repeat([[0] * 12 + [255] * 12], 16, 0).astype(np.uint8))
"""Black and white, which are two of the nine colours."""


def with_alpha(alpha: int) -> Image.Image:
    image = MASK.convert("RGBA")
    image.putalpha(alpha)
    return image


def noisy(share: float) -> Image.Image:
    """A mask with a block of a colour that is far from the nine colours."""
    pixels = np.array(MASK)
    pixels[: round(16 * share)] = (90, 60, 40)
    return Image.fromarray(pixels)


def readable() -> Iterator[tuple[str, Make]]:
    """Unusual masks that are read."""
    for kind in ("PNG", "TIFF", "BMP", "PPM", "TGA", "GIF"):
        yield kind, of(encoded(kind, MASK))
    yield "JPEG of two regions", of(encoded("JPEG", HALVES.convert("RGB"), quality=95))
    yield "WEBP without loss", of(encoded("WEBP", MASK, lossless=True))
    yield "palette", of(encoded("PNG", MASK.convert("P", palette=Image.Palette.ADAPTIVE)))
    yield "1 bit", of(encoded("PNG", HALVES.convert("1")))
    yield "grey", of(encoded("PNG", HALVES))
    yield "grey of 16 bits", of(png16(np.asarray(HALVES).astype(np.uint16)[..., None] * 257, 0))
    yield "16 bits", of(png16(np.asarray(MASK).astype(np.uint16) * 257, 2))
    yield "half transparent", of(encoded("PNG", with_alpha(128)))
    yield "transparent", of(encoded("PNG", with_alpha(0)))
    yield "with a profile", of(encoded("PNG", HALVES.convert("RGB"), icc_profile=DISPLAY_P3))
    yield "twice as large", of(encoded("PNG", stripes(48, 32)))
    yield "half as large", of(encoded("PNG", stripes(12, 8)))
    yield "of 3 x 2 pixels", of(encoded("PNG", stripes(3, 2)))
    yield "one colour", of(encoded("PNG", Image.new("RGB", (24, 16), (0, 0, 255))))
    yield "a colour near blue", of(encoded("PNG", Image.new("RGB", (24, 16), (20, 20, 230))))
    yield "turned by EXIF", of(encoded("PNG", MASK.transpose(Image.Transpose.ROTATE_90), exif=exif(6)))
    yield "animated", of(encoded("PNG", MASK, save_all=True, append_images=[MASK]))


def refused() -> Iterator[tuple[str, Make]]:
    """Files that are no masks of the photo."""
    data = encoded("PNG", MASK)
    yield from ((f"cut at {place}", of(data[:place])) for place in (0, 8, 40, len(data) - 30))
    yield "a photo", of(encoded("PNG", IMAGE))
    yield "a JPEG photo", of(encoded("JPEG", IMAGE))
    yield "a tenth of unknown colour", of(encoded("PNG", noisy(0.2)))
    yield "one unknown colour", of(encoded("PNG", Image.new("RGB", (24, 16), (90, 60, 40))))
    yield "label numbers", of(encoded("PNG", Image.fromarray(np.full((16, 24), 70, np.uint8))))
    yield "floats", of(encoded("TIFF", in_mode("F")))
    yield "of another shape", of(encoded("PNG", stripes(16, 24)))
    yield "of two rows too few", of(encoded("PNG", stripes(24, 14)))
    yield "claims 60000 x 40000", of(png_claiming(60_000, 40_000))
    yield "a text", of(b"blue sky, green grass")
    yield "a folder", Path.mkdir
    yield "a pipe", os.mkfifo
    yield "a device", lambda path: path.symlink_to("/dev/null")
    yield "a link to nothing", lambda path: path.symlink_to("nothing")
    yield "missing", lambda path: None
