"""Export of a look as a `.cube` file: a 3D lookup table for grading tools, fitted to stylized photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from kornia.color import rgb_to_lab

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.inference.styles import Style
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.lut import apply_lut, fit_lut
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import AnyImage, open_image

SIZES = (17, 33, 65)
"""Supported numbers of table entries along each axis. Every grading tool can read these sizes."""
_PIXELS = 1 << 18  # number of pixels that are drawn from each photo for the fit


class CubeLoss(NamedTuple):
    """Errors of a colour table, each a mean over the pixels of the photos to which the table was fitted.

    Attributes:
        levels: mean absolute difference between the table's output and the stylized photos, in 8-bit levels.
        lab: mean Euclidean distance in CIELAB between the table's output and the stylized photos.
        look: mean absolute difference between the original and the stylized photos, in 8-bit levels. A comparison with
            `levels` shows how large the error is.
    """

    levels: float
    lab: float
    look: float

    def __str__(self) -> str:
        return (
            f"the table differs from the stylized photos by {self.levels:.2f} of 255 levels, {self.lab:.2f} in CIELAB; "
            f"the look changes the photos by {self.look:.2f} levels"
        )


def export_cube(
    stylizer: Stylizer,
    path: str | Path,
    photos: Sequence[AnyImage],
    style: Style | None = None,
    size: int = 33,
    title: str | None = None,
) -> CubeLoss:
    """Fit a colour table to stylized photos, and write the table atomically as a `.cube` file.

    A table maps each input colour to a single output colour, whatever the position of the pixel. If the look gives
    pixels of the same input colour different output colours, the table contains the mean of the output colours. Fit the
    table to one photo to grade one scene, or to several photos for wider use. `ops.lut.fit_lut` describes the fit.

    Args:
        stylizer: the loaded checkpoint.
        path: the `.cube` file to write.
        photos: one or more sRGB photos, which are stylized for the fit. The input and output colours of the table are
            sRGB too.
        style: one or more styles for a universal checkpoint; None uses the style that `Stylizer.set_style` has set.
        size: number of table entries along each axis, one of `SIZES`.
        title: title in the header of the file; None uses the stem of the file name.

    Returns:
        The errors of the table on the photos.

    Raises:
        InputError: there are no photos, the size is not in `SIZES`, a single-look checkpoint gets a style, a universal
            checkpoint gets no style, or the file can't be written.
    """
    if size not in SIZES:
        raise InputError(f"size: expected one of {', '.join(map(str, SIZES))}, got {size}")
    if not photos:
        raise InputError("photos: a .cube is fitted to photos, expected at least one")
    with atomic_write(path) as temporary:
        pairs = [_stylized(stylizer, photo, style) for photo in photos]
        sources, targets = zip(*(_colors(*pair) for pair in pairs), strict=True)
        lut = fit_lut(torch.cat(sources), torch.cat(targets), size)
        header = _header(Path(path).stem if title is None else title, size, stylizer.header.get("licence"))
        rows = "".join(f"{red:.6f} {green:.6f} {blue:.6f}\n" for red, green, blue in lut.reshape(-1, 3).tolist())
        temporary.write_text(header + rows, encoding="ascii")
        losses = torch.tensor([_loss(lut, *pair) for pair in pairs]).mean(0)
    return CubeLoss(*losses.tolist())


def _stylized(
    stylizer: Stylizer,
    photo: AnyImage,
    style: Style | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = open_image("photo", photo).pixels[0]
    content = resize_pixels(pixels, (pixels.shape[0], pixels.shape[1]))
    return content, stylizer.stylize(content, style)


def _colors(content: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw random pixels of a photo. Return their colours before and after stylization.

    Each of the two tensors is `(N, 3)`, with a row for each pixel. N is the same for every photo.
    """
    colors = [image.transpose(0, 1).flatten(1).T for image in (content, output)]
    # Pixels are drawn at random, because every n-th pixel could be a column of the photo, and with replacement, so
    # that N is the same for small photos too.
    chosen = torch.randint(len(colors[0]), (_PIXELS,), generator=torch.Generator().manual_seed(0))
    return colors[0][chosen], colors[1][chosen]


def _header(title: str, size: int, licence: object) -> str:
    """Return the header of a `.cube` file, in ASCII as the format requires."""
    comments = ["made by lookcast for colours encoded as sRGB"]
    comments += [] if licence is None else [f"terms: {licence}"]
    lines = [
        'TITLE "{}"'.format(title.replace('"', "'")),
        *(f"# {comment}" for comment in comments),
        f"LUT_3D_SIZE {size}",
        "DOMAIN_MIN 0.0 0.0 0.0",
        "DOMAIN_MAX 1.0 1.0 1.0",
    ]
    text = "\n".join(" ".join(line.split()) for line in lines) + "\n"
    return text.encode("ascii", "replace").decode("ascii")


def _loss(lut: torch.Tensor, content: torch.Tensor, output: torch.Tensor) -> CubeLoss:
    approximation = apply_lut(lut, content)
    distance = (rgb_to_lab(approximation) - rgb_to_lab(output)).square().sum(1).sqrt()
    levels, look = ((image - output).abs().mean().item() * 255 for image in (approximation, content))
    return CubeLoss(levels, distance.mean().item(), look)
