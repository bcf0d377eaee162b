"""Reading by libvips, which keeps 16 bits per colour and says what is broken; imported when first needed."""

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
        # By region, which starts no threads: after those, a forked worker that reads hangs.
        region = pyvips.Region.new(image)
        pixels = np.empty((image.height, image.width, image.bands), _DTYPES[image.format])
        for top in range(0, image.height, _ROWS):
            rows = pixels[top : top + _ROWS]
            rows[:] = np.frombuffer(region.fetch(0, top, image.width, len(rows)), rows.dtype).reshape(rows.shape)
        return pixels
    except pyvips.Error as error:
        raise PhotoError(f"{path}: broken or truncated ({' '.join(str(error).split())})") from error
