"""Decoding of JPEG, PNG and TIFF by libvips, which keeps 16 bits per channel and can decode part of a damaged file."""

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
    import pyvips  # imported here, because the import starts libvips

    pyvips.cache_set_max(0)  # the cache is keyed by name and would return an older file of the same name
    return pyvips


def decode(path: Path, header: Image.Image, lenient: bool = False) -> npt.NDArray[Any]:
    """Decode a file to pixels `(H, W, channels)`, in strips. The orientation and the bit depth stay as in the file.

    Premultiplied alpha is divided out. Samples of a TIFF with WhiteIsZero are inverted. If a file has several pages,
    the first page is decoded.

    Args:
        path: path of the file.
        header: the opened file, which determines the format and the size.
        lenient: if True, decode the readable part of a damaged file.

    Raises:
        PhotoError: the file is broken or truncated. With `lenient`, the error is raised only if no pixel can be read.
    """
    pyvips = _vips()
    try:
        # The file is opened as a source, because libvips would read brackets at the end of a file name as options.
        # The name is passed as bytes, because pyvips would encode text as UTF-8.
        source = pyvips.Source.new_from_file(os.fsencode(path))
        # fail_on="warning" would refuse TIFFs with private tags. Only JPEGs would need it, and this function decodes
        # JPEGs in lenient mode only.
        image = getattr(pyvips.Image, _LOADERS[str(header.format)])(
            source, access="sequential", fail_on="none" if lenient else "error"
        )
        if image.width * image.height != header.width * header.height:
            raise PhotoError(f"{path}: broken, it states the size {header.width}x{header.height} and another size")
        # A region starts no threads in libvips. After such threads have run, decoding in a forked worker hangs.
        region = pyvips.Region.new(image)
        pixels = np.empty((image.height, image.width, image.bands), _DTYPES[image.format])
        for top in range(0, image.height, _ROWS):
            rows = pixels[top : top + _ROWS]
            rows[:] = np.frombuffer(region.fetch(0, top, image.width, len(rows)), rows.dtype).reshape(rows.shape)
        return pixels
    except pyvips.Error as error:
        # The message of libvips has one line for each strip, and may start with lines about earlier files.
        raise PhotoError(f"{path}: broken or truncated ({str(error).strip().splitlines()[-1].strip()})") from error
    finally:
        pyvips.vips_lib.vips_error_clear()
