"""Templates, pictures and numbers of HTML pages that are single files."""

import base64
import io
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from lookcast.photos.read import to_pixels

QUALITY = 82
"""JPEG quality of the pictures in a page."""


def open_templates(folder: Path) -> Environment:
    """Return the templates of a folder and the shared ones of this package, such as `base.css`.

    All texts are HTML-escaped, and a name without a value is an error.
    """
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).with_name("templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def printable(text: str) -> str:
    r"""Escape control characters, line breaks, and bytes that are not UTF-8.

    Example:
        >>> print(printable("cat\n"), printable(b"\xff".decode(errors="surrogateescape")), printable("ä"))
        cat\n \udcff ä
    """
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)


def jpeg_url(image: torch.Tensor) -> str:
    """Return an image `(1, 3, H, W)` in [0, 1] as a `data:` URL of a JPEG."""
    return _picture_url(image, "jpeg", quality=QUALITY)


def png_url(image: torch.Tensor) -> str:
    """Return an image `(1, 3, H, W)` in [0, 1] as a `data:` URL of a PNG, which keeps the pixels of small images."""
    return _picture_url(image, "png")


def float_text(values: torch.Tensor) -> str:
    """Return values as the base64 text of little-endian float32, for `Float32Array` of JavaScript."""
    return _base64(values.contiguous().numpy().astype("<f4"))


def level_text(values: torch.Tensor) -> str:
    """Return values in [0, 1] as the base64 text of 8-bit levels, for `Uint8Array` of JavaScript."""
    return _base64((values.clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy())


def _picture_url(image: torch.Tensor, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    Image.fromarray(to_pixels(image)).save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _base64(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
