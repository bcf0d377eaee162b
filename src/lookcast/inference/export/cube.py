"""Export of a look as a `.cube`: one table of colours for grading tools, the nearest to the grid without positions."""

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
"""Steps a side that every grading tool reads."""
_PIXELS = 1 << 18  # pixels of each photo that the table is fitted to


class CubeLoss(NamedTuple):
    """The error of a table: means over the pixels of the photos it was fitted to.

    Attributes:
        levels: absolute difference to the stylized photos, in 8-bit levels.
        lab: Euclidean distance to them in CIELAB.
        look: absolute difference between the stylized photos and the photos, in 8-bit levels, for comparison.
    """

    levels: float
    lab: float
    look: float

    def __str__(self) -> str:
        return (
            f"the table differs from the stylized photos by {self.levels:.2f} of 255 levels, {self.lab:.2f} in CIELAB; "
            f"the look moves them by {self.look:.2f} levels"
        )


def export_cube(
    stylizer: Stylizer,
    path: str | Path,
    photos: Sequence[AnyImage],
    style: Style | None = None,
    size: int = 33,
    title: str | None = None,
) -> CubeLoss:
    """Fit a table of colours to the effect of a look on some photos, and write it atomically.

    A table depends on a pixel's colour, not on its position: where the look turns one colour into two, the table holds
    their mean. Fit it to one photo to grade that scene, to several photos for a look of wider use. `ops.lut.fit_lut`
    describes the fit.

    Args:
        stylizer: the checkpoint.
        path: the `.cube` file.
        photos: the photos to stylize and fit to, one or more, in sRGB like the table.
        style: for a universal checkpoint, one style or several; None takes that of `Stylizer.set_style`.
        size: steps a side, one of `SIZES`.
        title: for the file's header; None takes the file's name.

    Raises:
        InputError: no photos, another size, a style for a checkpoint with a single look or none for a universal one,
            or the file can't be written.
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
    """Return pairs of colours `(N, 3)`, the same number for every photo."""
    colors = [image.transpose(0, 1).flatten(1).T for image in (content, output)]
    # Random, because every n-th pixel would be a column of the photo; with repetition, so that photos count alike.
    chosen = torch.randint(len(colors[0]), (_PIXELS,), generator=torch.Generator().manual_seed(0))
    return colors[0][chosen], colors[1][chosen]


def _header(title: str, size: int, licence: object) -> str:
    """Return the header in ASCII, as the format demands."""
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
