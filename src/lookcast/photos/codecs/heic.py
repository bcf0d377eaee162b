"""HEIC, the photos of phones, by pillow-heif: an extra, imported only when such a file is met."""

import logging
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from lookcast.photos.photo import PhotoError, Pixels

HEIC_SUFFIXES = (".heic", ".heif")
HEADER_BYTES = 12
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_SRGB_PRIMARIES, _UNSPECIFIED, _HDR_TRANSFERS = 1, 2, (16, 18)  # ITU-T H.273

logger = logging.getLogger(__name__)


def is_heic(header: bytes) -> bool:
    """Whether a file begins like HEIC, told by `HEADER_BYTES` of it."""
    return header[4:8] == b"ftyp" and header[8:12] in _BRANDS


def enable_heic(path: Path) -> None:
    """Make Pillow read and write HEIC.

    Raises:
        PhotoError: pillow-heif is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise PhotoError(f"{path}: is HEIC, which needs pillow-heif: pip install 'lookcast[heic]'") from error
    pillow_heif.register_heif_opener()


def decode_deep_heic(image: Image.Image, path: Path) -> Pixels | None:
    """Pixels of 10 or 12 bits as uint16, `(H, W, 3)` or `(H, W, 4)`; None for a photo of 8 bits."""
    nclx = image.info.get("nclx_profile", {})
    primaries, transfer = nclx.get("color_primaries"), nclx.get("transfer_characteristics")
    wide = primaries not in (None, _SRGB_PRIMARIES, _UNSPECIFIED) or transfer in _HDR_TRANSFERS
    if wide and not image.info.get("icc_profile"):
        logger.warning("%s: has wide or HDR colours without a profile (H.273: %s); read as sRGB", path, nclx)
    bits = image.info.get("bit_depth", 8)
    if bits == 8:
        return None
    import pillow_heif

    levels = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False))
    # They are the upper bits; repeated below, they reach from 0 to 65535.
    return np.asarray(levels | (levels >> bits), np.uint16)


def encode_heic(file: IO[bytes], pixels: Pixels, **options: Any) -> None:
    """Write HEIC of `(H, W, 3)` or `(H, W, 4)`: 8 bits, or 10 for uint16.

    Args:
        file: to write to.
        pixels: RGB or RGBA.
        **options: of pillow-heif: quality, subsampling, exif, xmp, icc_profile.

    Raises:
        ValueError: this libheif can't encode it.
    """
    import pillow_heif

    if not pillow_heif.libheif_info()["HEIF"]:
        raise ValueError("this installation of libheif has no encoder")
    mode = ("RGB" if pixels.shape[2] == 3 else "RGBA") + (";16" if pixels.dtype == np.uint16 else "")
    image = pillow_heif.from_bytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    # The encoder's own preset takes eight times as long for as many bytes.
    image.save(file, enc_params={"preset": "ultrafast"}, **options)
