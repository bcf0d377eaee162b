"""libvips, which keeps 16 bits per colour and is faster than Pillow where both can; imported when first needed."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookcast.inference.photo import PhotoError, Pixels

_LOADERS = {"JPEG": "jpegload_source", "MPO": "jpegload_source", "PNG": "pngload_source", "TIFF": "tiffload_source"}


@lru_cache(maxsize=1)
def _vips() -> Any:
    import pyvips

    pyvips.cache_set_max(0)  # it would take a file for the one that had its name before
    return pyvips


def decode(path: Path, header: Image.Image) -> npt.NDArray[Any]:
    """Pixels of a JPEG, PNG or TIFF as they are stored, `(H, W, channels)`: not turned, in the file's own depth.

    Premultiplied alpha is divided out, white at zero turned around. Of several pages the first.

    Args:
        path: the file.
        header: what Pillow made of it: no other format is tried, no other size decoded.

    Raises:
        PhotoError: broken or truncated.
    """
    pyvips = _vips()
    try:
        # As a source, because vips would take brackets at the end of a name for options; in bytes, because pyvips knows
        # no names but those of UTF-8.
        source = pyvips.Source.new_from_file(os.fsencode(path))
        image = getattr(pyvips.Image, _LOADERS[str(header.format)])(source, access="sequential", fail_on="error")
        if image.width * image.height != header.width * header.height:
            raise PhotoError(f"{path}: broken, its header says {header.width}x{header.height} and other sizes")
        return np.asarray(image.numpy()).reshape(image.height, image.width, image.bands)
    except pyvips.Error as error:
        raise PhotoError(f"{path}: broken or truncated ({' '.join(str(error).split())})") from error


def encode_png(pixels: Pixels) -> bytes:
    """A PNG of `(H, W, 3)` RGB or `(H, W, 4)` RGBA, in the depth of the array.

    Pillow has no 16 bits here, and takes three times as long for 8.

    Raises:
        ValueError: larger than PNG allows.
    """
    pyvips = _vips()
    try:
        # Told what it is, because vips takes four channels for CMYK.
        image = pyvips.Image.new_from_array(pixels, interpretation="rgb16" if pixels.dtype == np.uint16 else "srgb")
        encoded: bytes = image.pngsave_buffer(compression=3, filter="all", keep="none")
        return encoded
    except pyvips.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
