"""Export of a look as a colour table, fitted to stylized photos: a `.cube` for grading tools, or a HaldCLUT."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from kornia.color import rgb_to_lab

from lookcast.checks import InputError
from lookcast.inference.export.tables import check_table, resampled, size_to_fit, write_table
from lookcast.inference.jobs import check_place
from lookcast.inference.styles import Style
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.lut import apply_lut, fit_lut
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import AnyImage, open_image

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
    size: int | None = None,
    title: str | None = None,
) -> CubeLoss:
    """Fit a colour table to stylized photos, and write the table atomically as a `.cube` or as a HaldCLUT (`.png`).

    A table maps each input colour to a single output colour, whatever the position of the pixel. If the look gives
    pixels of the same input colour different output colours, the table contains the mean of the output colours. Fit the
    table to one photo to grade one scene, or to several photos for wider use. `ops.lut.fit_lut` describes the fit.

    Args:
        stylizer: the loaded checkpoint.
        path: the file to write; its suffix is `.cube` or `.png`.
        photos: one or more sRGB photos, which are stylized for the fit. The input and output colours of the table are
            sRGB too.
        style: one or more styles for a universal checkpoint; None uses the style that `Stylizer.set_style` has set.
        size: number of table entries along each axis, one of `tables.CUBE_SIZES` (default 33) for `.cube`, or one of
            `tables.HALD_SIZES` (default 64) for `.png`. A HaldCLUT of level L has `L^2` entries along each axis.
        title: title in the file; None uses the stem of the file name.

    Returns:
        The errors of the written table on the photos.

    Raises:
        InputError: there are no photos, the suffix or the size is not supported, a single-look checkpoint gets a
            style, a universal checkpoint gets no style, or the file can't be written.
    """
    size = check_table(path, size)
    check_place(Path(path))
    if not photos:
        raise InputError("photos: a table is fitted to photos, expected at least one")
    pairs = [_stylized(stylizer, photo, style) for photo in photos]
    lut = write_fitted(path, pairs, size, title, stylizer.header.get("licence"))
    return CubeLoss(*torch.tensor([_loss(lut, *pair) for pair in pairs]).mean(0).tolist())


def write_fitted(
    path: str | Path,
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]],
    size: int | None = None,
    title: str | None = None,
    licence: object = None,
) -> torch.Tensor:
    """Fit a colour table to photos that are stylized already, and write it; see `export_cube`.

    Args:
        path: see `export_cube`.
        pairs: the photos before and after, each `(1, 3, H, W)` in [0, 1].
        size: see `export_cube`.
        title: see `export_cube`.
        licence: terms of use of the look; None if there are none.

    Returns:
        The written table, `(size, size, size, 3)`.

    Raises:
        InputError: the suffix or the size is not supported, or the file can't be written.
    """
    size = check_table(path, size)
    sources, targets = zip(*(_colors(*pair) for pair in pairs), strict=True)
    lut = resampled(fit_lut(torch.cat(sources), torch.cat(targets), size_to_fit(size)), size)
    write_table(path, lut, size, title, licence)
    return lut


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


def _loss(lut: torch.Tensor, content: torch.Tensor, output: torch.Tensor) -> CubeLoss:
    approximation = apply_lut(lut, content)
    distance = (rgb_to_lab(approximation) - rgb_to_lab(output)).square().sum(1).sqrt()
    levels, look = ((image - output).abs().mean().item() * 255 for image in (approximation, content))
    return CubeLoss(levels, distance.mean().item(), look)
