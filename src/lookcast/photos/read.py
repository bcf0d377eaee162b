"""Reading of photo files of any format and mode: upright pixels, colour profile and metadata."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from lookcast.checks import InputError, check_shape
from lookcast.paths import check_file
from lookcast.photos.codecs.heic import HEADER_BYTES, enable_heic, is_heic
from lookcast.photos.codecs.tiff import BIG_ENDIAN_BIGTIFF, TIFF_SIGNATURES, open_tiff_header
from lookcast.photos.color import to_srgb
from lookcast.photos.decoding import decode_photo, decode_shrunk
from lookcast.photos.photo import CODEC_ERRORS, Photo, PhotoError, to_8_bits
from lookcast.photos.write import PHOTO_SUFFIXES, SUBSAMPLINGS, check_writable, write_photo

MAX_PIXELS = 200_000_000
"""Default limit of the number of pixels in a photo: twice the resolution of the largest cameras. A photo of this size
takes 600 MB at 8 bits and 1.2 GB at 16 bits."""

_PILLOW_LIMIT = threading.Lock()

__all__ = [
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "SUBSAMPLINGS",
    "Photo",
    "PhotoError",
    "check_writable",
    "read_photo",
    "read_srgb",
    "to_pixels",
    "to_tensor",
    "write_photo",
]


def read_photo(path: str | Path, max_pixels: int = MAX_PIXELS, lenient: bool = False) -> Photo:
    """Read a photo of any format, mode and orientation. The format follows from the file's bytes, not from its name.

    16-bit PNG and TIFF keep their bit depth. Floating-point values in [0, 1] and 10-bit HEIC are converted to 16 bits.
    If a file has several pages, the first page is read, and the log warns about the others.

    A damaged JPEG is detected if data are missing, data are left over, or a code is invalid. Other damage to a JPEG,
    such as a single wrong bit, is not detected if all data can still be decoded.

    Args:
        path: path of a regular file.
        max_pixels: largest number of pixels. A larger photo is refused before it is decoded.
        lenient: if True, read the readable part of a damaged JPEG, PNG or TIFF; `Photo.damage` then states the error.

    Raises:
        PhotoError: the file is missing, damaged or too large; it is not a regular file or not a photo; the range of its
            samples is unknown; or it is HEIC and pillow-heif is not installed.
    """
    path = Path(path)
    with _opened(path, max_pixels) as image:
        return decode_photo(image, path, lenient)


def read_srgb(path: str | Path, max_pixels: int = MAX_PIXELS, min_side: int | None = None) -> npt.NDArray[np.uint8]:
    """Read a photo for training, evaluation or a style. Return upright 8-bit sRGB pixels `(H, W, 3)`.

    Args:
        path: see `read_photo`.
        max_pixels: see `read_photo`.
        min_side: length of the shorter side of the result, in pixels. A larger photo is shrunk to this length (a
            JPEG already during decoding, to save time). A smaller photo keeps its size. None: full size.

    Raises:
        PhotoError: see `read_photo`.
        InputError: `min_side` is below 1.
    """
    if min_side is None:
        photo = read_photo(path, max_pixels)
        return to_8_bits(to_srgb(photo.pixels, photo.icc_profile))
    if min_side < 1:
        raise InputError(f"min_side: expected at least 1 pixel, got {min_side}")
    path = Path(path)
    with _opened(path, max_pixels) as image:
        return decode_shrunk(image, path, min_side)


def to_tensor(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Convert uint8 pixels `(H, W, 3)` to a float32 tensor `(1, 3, H, W)` in [0, 1].

    Raises:
        InputError: the pixels have another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"pixels: expected (H, W, 3) of uint8, got {pixels.shape} of {pixels.dtype}")
    planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    return planes.to(torch.float32, memory_format=torch.contiguous_format) / 255


def to_pixels(image: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Convert a tensor `(1, 3, H, W)` to uint8 pixels `(H, W, 3)`: clamp to [0, 1], round to the nearest level.

    Raises:
        ShapeError: the tensor has another shape.
    """
    check_shape("image", image, (1, 3, "H", "W"))
    levels = image.detach()[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    pixels: npt.NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """Open a photo and read the header. An error in the `with` block becomes a `PhotoError` that names the file."""
    check_file(path, "photo", PhotoError)
    try:
        with _open(path) as image:
            if image.width * image.height > max_pixels:
                raise PhotoError(
                    f"{path}: too large, {image.width}x{image.height} = {image.width * image.height} pixels, more than "
                    f"the limit of {max_pixels}; --max-pixels changes the limit"
                )
            yield image
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(f"{path}: not a photo, or of an unknown format") from error
    except CODEC_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:  # only the system's errors have an errno
            raise PhotoError(f"{path}: can't be read ({error.strerror})") from error
        raise PhotoError(f"{path}: broken or truncated ({' '.join(str(error).split())})") from error


def _open(path: Path) -> Image.Image:
    """Open a photo of any size and read the header. Pillow's size limit is lifted only for this call."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if is_heic(header):
        enable_heic(path)
    if header.startswith(BIG_ENDIAN_BIGTIFF):  # Pillow would read the file as a classic TIFF and misread its tags
        raise PhotoError(f"{path}: a BigTIFF in big-endian byte order is not supported")
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path)
            if image.format == "EPS":  # Pillow would run Ghostscript
                image.close()
                raise PhotoError(f"{path}: is EPS, a program that draws; expected a photo")
            return image
        except UnidentifiedImageError:
            if not header.startswith(TIFF_SIGNATURES):
                raise
            return open_tiff_header(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before
