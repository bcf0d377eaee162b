"""Photo files in and out with Pillow: any mode in, what belongs to the photo kept, written whole or not at all."""

import io
import logging
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from lookcast.checks import InputError, check_shape
from lookcast.files import whole_file
from lookcast.inference.photo_modes import PhotoError, to_rgb
from lookcast.ops.masks import check_aspect, colors_to_mask

_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},  # subsampled chroma smears the colour edges that a look moves
    "PNG": {},
    "WEBP": {"quality": 95, "exact": True},  # exact: colours below full transparency stay
    "TIFF": {},  # uncompressed, because Pillow's compressed TIFF fails on EXIF with sub-directories
}
PHOTO_SUFFIXES = tuple(_FORMATS)
"""What a photo file's name ends with, in lower case: looked for in folders, and the formats that can be written."""

_BROKEN_FILE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error)
"""What Pillow's decoders raise for broken bytes."""
_BROKEN_EXIF = (SyntaxError, ValueError, TypeError, KeyError, struct.error)
_MAX_JPEG_EXIF = 65533  # one segment
_MASK_ROWS = 256
# A TIFF's EXIF is its own directory. These tags describe how that file was stored, or hold what would contradict the
# new one: a profile, XMP with an orientation, Photoshop's preview of the old look.
_STORAGE_TAGS = (
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 297, 301, 317, 318, 319),
    *(320, 322, 323, 324, 325, 330, 332, 338, 339, 340, 341, 347, 513, 514, 529, 530, 531, 532, 700, 34377, 34675),
)

logger = logging.getLogger(__name__)

__all__ = [
    "PHOTO_SUFFIXES",
    "Photo",
    "PhotoError",
    "check_writable",
    "read_mask",
    "read_photo",
    "to_pixels",
    "to_tensor",
    "write_photo",
]


class Photo(NamedTuple):
    """A photo the right way up, and what belongs to it.

    Attributes:
        pixels: `(H, W, 3)` RGB.
        alpha: `(H, W)`; None without transparency.
        exif: as Pillow writes it, orientation applied and taken out, without the preview; None where there is none.
        icc_profile: the RGB colour profile of the pixels; None is sRGB.
    """

    pixels: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8] | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None


def read_photo(path: str | Path) -> Photo:
    """Read a photo of any format, mode and orientation.

    Pillow has no 16-bit colour: such a photo is read at 8 bits, with a warning in the log. Of several pages the first
    is read, with a warning too.

    Raises:
        PhotoError: missing, a folder, not a photo, broken, truncated, or above `PIL.Image.MAX_IMAGE_PIXELS` twice over.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            _check_layout(image, path)
            image.load()  # first, because Pillow turns a TIFF by itself while loading, and then has no orientation left
            orientation, exif = _take_exif(image, path)
            rgb, icc_profile = to_rgb(image, str(path))
    except FileNotFoundError as error:
        raise PhotoError(f"{path}: no such photo") from error
    except IsADirectoryError as error:
        raise PhotoError(f"{path}: is a folder, expected a photo") from error
    except UnidentifiedImageError as error:
        raise PhotoError(f"{path}: not a photo, or of an unknown format") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{path}: too large ({error})") from error
    except PhotoError:
        raise
    except _BROKEN_FILE as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's errors have a number, Pillow's none
            raise PhotoError(f"{path}: can't be read ({error.strerror})") from error
        raise PhotoError(f"{path}: broken or truncated ({' '.join(str(error).split())})") from error
    rgb.getexif()[ExifTags.Base.Orientation] = orientation
    ImageOps.exif_transpose(rgb, in_place=True)
    values = np.array(rgb)
    alpha = np.ascontiguousarray(values[..., 3]) if rgb.mode == "RGBA" else None
    return Photo(np.ascontiguousarray(values[..., :3]), alpha, exif, icc_profile)


def check_writable(path: str | Path) -> None:
    """Refuse a name whose suffix is none of `PHOTO_SUFFIXES`.

    Raises:
        PhotoError: it names the suffixes that are known.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise PhotoError(f"{path}: can't write photos of this suffix; known are {', '.join(PHOTO_SUFFIXES)}")


def write_photo(path: str | Path, photo: Photo) -> None:
    """Write a photo, whole or not at all; the suffix chooses the format.

    JPEG at quality 95 without chroma subsampling, WebP at 95, PNG and TIFF lossless. EXIF and colour profile are kept;
    alpha too, but for JPEG, which has none: the log says so.

    Raises:
        PhotoError: unknown suffix, or larger than the format allows.
        InputError: the file can't be written.
    """
    path = Path(path)
    check_writable(path)
    kind = _FORMATS[path.suffix.lower()]
    options = dict(_OPTIONS[kind])
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None and kind == "JPEG":
        logger.warning("%s: JPEG has no transparency; the alpha channel is left out", path)
    elif photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    if photo.exif is not None and kind == "JPEG" and len(photo.exif) > _MAX_JPEG_EXIF:
        logger.warning("%s: %d bytes of EXIF are more than JPEG holds; left out", path, len(photo.exif))
    elif photo.exif is not None:
        options["exif"] = photo.exif
    if photo.icc_profile is not None:
        options["icc_profile"] = photo.icc_profile
    encoded = io.BytesIO()  # in memory first: what the format refuses is another fault than a full disk
    try:
        image.save(encoded, kind, **options)
    except (ValueError, OSError) as error:
        size = f"{image.width}x{image.height}"
        raise PhotoError(f"{path}: {kind} can't hold this photo of {size} pixels ({error})") from error
    with whole_file(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def read_mask(path: str | Path, size: tuple[int, int] | None = None) -> torch.Tensor:
    """Read a mask painted in the nine colours of `ops.masks.PALETTE`; the nearest colour wins.

    Args:
        path: an image file, PNG as a rule: JPEG blurs the edges between labels.
        size: (height, width) of the photo it belongs to; None keeps the mask's own.

    Returns:
        One-hot `(1, 9, H, W)`, float32; a mask of one label only is as good as any.

    Raises:
        PhotoError: the file can't be read.
        InputError: the aspect ratio is not the photo's.
    """
    pixels = read_photo(path).pixels
    if size is not None and size != pixels.shape[:2]:
        check_aspect(str(path), (pixels.shape[0], pixels.shape[1]), size)
        # Nearest: between two labels lies none that is meant.
        pixels = np.array(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.NEAREST))
    # By strips: the distances to nine colours of 12 megapixels at once would take more than a gigabyte.
    strips = (to_tensor(pixels[top : top + _MASK_ROWS]) for top in range(0, len(pixels), _MASK_ROWS))
    return torch.cat([colors_to_mask(strip) for strip in strips], dim=2)


def to_tensor(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """`(H, W, 3)` uint8 to `(1, 3, H, W)` float32 in [0, 1].

    Raises:
        InputError: another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"pixels: expected (H, W, 3) of uint8, got {pixels.shape} of {pixels.dtype}")
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return planes.to(torch.float32, memory_format=torch.contiguous_format) / 255


def to_pixels(image: torch.Tensor) -> npt.NDArray[np.uint8]:
    """`(1, 3, H, W)` in [0, 1] to `(H, W, 3)` uint8: clamped, rounded to the nearest level.

    Raises:
        ShapeError: another shape.
    """
    check_shape("image", image, (1, 3, "H", "W"))
    levels = image.detach()[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    pixels: npt.NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels


def _check_layout(image: Image.Image, path: Path) -> None:
    """Warn of what Pillow leaves out without a word, refuse what it reads wrongly; before the pixels are loaded."""
    if image.format in ("PNG", "TIFF") and not image.mode.startswith("I"):
        layouts = [tile[3] if isinstance(tile[3], str) else tile[3][0] for tile in getattr(image, "tile", [])]
        bits = max(getattr(image, "tag_v2", {}).get(258, (8,)))
        if any(";16" in layout for layout in layouts):
            logger.warning("%s: has 16 bits per colour, read at 8 bits", path)
        elif bits == 16:
            raise PhotoError(f"{path}: 16-bit TIFF with separate colour planes can't be read; save it interleaved")
    # MPO is the JPEG of phones; its further pictures are previews and gain maps of the first.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        logger.warning("%s: holds several pictures, the first is read", path)


def _take_exif(image: Image.Image, path: Path) -> tuple[int, bytes | None]:
    """The orientation, 1 for upright, and the EXIF of a photo that is upright and stored in another way."""
    try:
        exif = image.getexif()
        orientation = exif.pop(ExifTags.Base.Orientation, 1)
        for tag in _STORAGE_TAGS:
            exif.pop(tag, None)
        details = exif.get_ifd(ExifTags.IFD.Exif) if ExifTags.IFD.Exif in exif else {}
        size = image.size if orientation < 5 else reversed(image.size)
        for tag, side in zip((ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), size, strict=True):
            if tag in details:
                details[tag] = side
        return orientation, exif.tobytes() if len(exif) else None  # tobytes leaves out the preview
    except _BROKEN_EXIF as error:
        logger.warning("%s: its EXIF is broken and left out (%s)", path, error)
        return 1, None
