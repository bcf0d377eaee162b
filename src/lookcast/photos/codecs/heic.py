"""Decoding and encoding of HEIC, a photo format of phones, by the optional dependency pillow-heif."""

from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from lookcast.photos.photo import PhotoError, Pixels, logger

HEIC_SUFFIXES = (".heic", ".heif")
HEADER_BYTES = 12
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_SRGB_PRIMARIES, _UNSPECIFIED, _HDR_TRANSFERS = 1, 2, (16, 18)  # ITU-T H.273


def is_heic(header: bytes) -> bool:
    """Return whether the first `HEADER_BYTES` bytes of a file are a HEIC header."""
    return header[4:8] == b"ftyp" and header[8:12] in _BRANDS


def enable_heic(path: Path) -> None:
    """Register pillow-heif, so that Pillow reads and writes HEIC.

    Raises:
        PhotoError: pillow-heif is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise PhotoError(f"{path}: is HEIC, which needs pillow-heif: pip install 'lookcast[heic]'") from error
    pillow_heif.register_heif_opener()


def decode_heic(path: Path, header: Image.Image) -> Pixels | None:
    """Decode HEIC of 10 or 12 bits to uint16 `(H, W, 3)` or `(H, W, 4)`.

    Return None for 8 bits, because Pillow can decode these files.
    """
    nclx = header.info.get("nclx_profile", {})
    primaries, transfer = nclx.get("color_primaries"), nclx.get("transfer_characteristics")
    wide = primaries not in (None, _SRGB_PRIMARIES, _UNSPECIFIED) or transfer in _HDR_TRANSFERS
    if wide and not header.info.get("icc_profile"):
        logger.warning("%s: has wide or HDR colours without a profile (H.273: %s); read as sRGB", path, nclx)
    bits = header.info.get("bit_depth", 8)
    if bits == 8 or header.mode not in ("RGB", "RGBA"):
        return None
    import pillow_heif

    levels = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False))
    # libheif fills the upper bits only. A copy of the upper bits in the lower bits makes the range 0 to 65535.
    return np.asarray(levels | (levels >> bits), np.uint16)


def encode_heic(file: IO[bytes], pixels: Pixels, **options: Any) -> None:
    """Encode pixels as HEIC, with 8 bits per channel for uint8 and 10 bits for uint16.

    Args:
        file: binary file to write to.
        pixels: RGB `(H, W, 3)` or RGBA `(H, W, 4)`.
        **options: options of pillow-heif: quality, subsampling, exif, xmp, icc_profile.

    Raises:
        ValueError: the installed libheif has no encoder.
    """
    import pillow_heif

    if not pillow_heif.libheif_info()["HEIF"]:
        raise ValueError("this installation of libheif has no encoder")
    mode = ("RGB" if pixels.shape[2] == 3 else "RGBA") + (";16" if pixels.dtype == np.uint16 else "")
    image = pillow_heif.from_bytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    # The default preset of the encoder takes eight times as long and gives a file of the same size.
    image.save(file, enc_params={"preset": "ultrafast"}, **options)
