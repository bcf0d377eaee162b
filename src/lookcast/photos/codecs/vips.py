"""JPEG, PNG and TIFF by libvips, which keeps 16 bits per colour and reads what is left of a damaged file."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookcast.photos.photo import PhotoError

_ROWS = 64
_DTYPES = {
    **{"uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16, "uint": np.uint32, "int": np.int32},
    **{"float": np.float32, "double": np.float64},
}
_LOADERS = {"JPEG": "jpegload_source", "MPO": "jpegload_source", "PNG": "pngload_source", "TIFF": "tiffload_source"}
VIPS_FORMATS = tuple(_LOADERS)
"""Pillow's names of the formats that `decode` reads."""


@lru_cache(maxsize=1)
def _vips() -> Any:
    import pyvips  # here, because importing it starts libvips

    pyvips.cache_set_max(0)  # the cache would take a file for an older one of the same name
    return pyvips


def decode(path: Path, header: Image.Image, lenient: bool = False) -> npt.NDArray[Any]:
    """Decode pixels in stored orientation, `(H, W, channels)`, in the file's own depth, a strip at a time.

    Premultiplied alpha is divided out, white at zero is inverted. Of several pages the first is read.

    Args:
        path: the file.
        header: the opened file; no other format is tried, no other size decoded.
        lenient: read what is left of a damaged file.

    Raises:
        PhotoError: broken or truncated; with `lenient`, only where nothing can be read.
    """
    pyvips = _vips()
    try:
        # From a source, because libvips takes brackets at the end of a name for options; in bytes, because pyvips
        # encodes names as UTF-8.
        source = pyvips.Source.new_from_file(os.fsencode(path))
        # "warning" would refuse TIFFs with private tags. JPEGs, where it matters, are decoded here only leniently.
        image = getattr(pyvips.Image, _LOADERS[str(header.format)])(
            source, access="sequential", fail_on="none" if lenient else "error"
        )
        if image.width * image.height != header.width * header.height:
            raise PhotoError(f"{path}: broken, its header says {header.width}x{header.height} and other sizes")
        # By region, which starts no threads: a forked worker that reads hangs after those.
        region = pyvips.Region.new(image)
        pixels = np.empty((image.height, image.width, image.bands), _DTYPES[image.format])
        for top in range(0, image.height, _ROWS):
            rows = pixels[top : top + _ROWS]
            rows[:] = np.frombuffer(region.fetch(0, top, image.width, len(rows)), rows.dtype).reshape(rows.shape)
        return pixels
    except pyvips.Error as error:
        # libvips reports one line for each strip, after those of earlier files.
        raise PhotoError(f"{path}: broken or truncated ({str(error).strip().splitlines()[-1].strip()})") from error
    finally:
        pyvips.vips_lib.vips_error_clear()
