"""Folders of content and style pairs: which files belong together, and how they are read to be compared."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from lookcast.checks import InputError
from lookcast.ops.masks import check_aspect, colors_to_mask
from lookcast.photos.read import PHOTO_SUFFIXES, PhotoError, read_srgb, to_tensor

LONGEST, MULTIPLE = 512, 8
"""Images are compared with this many pixels on the longer side, each side a multiple of 8: the strides of the taps."""
MIN_SIDE = 16
"""The encoders' smallest photo."""
CONTENT, STYLE, CONTENT_MASK, STYLE_MASK, TRUTH = "content", "style", "content_mask", "style_mask", "truth"
OUTPUT, MASKS = "output", "masks"
"""Further columns of a report; no folder of references may be called so."""
_KNOWN = {CONTENT, STYLE, CONTENT_MASK, STYLE_MASK, TRUTH}


class PairFiles(NamedTuple):
    """The files of one pair; None where the folder has none of that name.

    Attributes:
        name: the stem that they share.
        content: the photo to change.
        style: the photo whose look is wanted.
        content_mask: painted in nine colours.
        style_mask: the same; used only when both are there.
        truth: what the output should be.
        references: results of others, by the folder they lie in.
    """

    name: str
    content: Path
    style: Path | None
    content_mask: Path | None
    style_mask: Path | None
    truth: Path | None
    references: dict[str, Path]

    @property
    def masked(self) -> bool:
        """Whether both photos have a mask."""
        return self.content_mask is not None and self.style_mask is not None


class PairImages(NamedTuple):
    """A pair at the size at which it is compared.

    Attributes:
        content: `(1, 3, H, W)`, H and W multiples of 8.
        style: `(1, 3, H', W')`, at its own aspect ratio.
        content_mask: `(1, 9, H, W)`, one-hot; `(1, 1, H, W)` of ones without masks.
        style_mask: the same for the style.
        truth: `(1, 3, H, W)`.
        references: each `(1, 3, H, W)`.
    """

    content: torch.Tensor
    style: torch.Tensor
    content_mask: torch.Tensor
    style_mask: torch.Tensor
    truth: torch.Tensor | None
    references: dict[str, torch.Tensor]


def find_pairs(folder: Path, limit: int | None = None, ignore: Iterable[Path] = ()) -> list[PairFiles]:
    """List the pairs of a folder by name.

    A folder beside `content` and `style` that is none of the masks or `truth` holds the results of others, if any
    photo in it has the name of a pair.

    Args:
        folder: with `content/NAME.*` and `style/NAME.*`; optional `content_mask/`, `style_mask/`, `truth/` and others.
        limit: the first so many; None takes all.
        ignore: folders in it that hold no results of others.

    Raises:
        InputError: a folder is missing or empty, a name stands for two photos, or the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected at least 1, got {limit}")
    contents = photos_by_name(folder / CONTENT)
    styles = photos_by_name(folder / STYLE)
    if not contents:
        raise InputError(f"{folder / CONTENT}: no photos directly in this folder")
    optional = {name: photos_by_name(folder / name) for name in _KNOWN if (folder / name).is_dir()}
    left_out = {path.resolve() for path in ignore}
    others = {
        path.name: photos_by_name(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name not in _KNOWN and path.name[0] != "." and path.resolve() not in left_out
    }
    for name in (OUTPUT, MASKS):
        if others.get(name, {}).keys() & contents.keys():
            raise InputError(f"{folder / name}: results of others can't be called {name!r}, a column of the report is")
    return [
        PairFiles(
            name,
            path,
            styles.get(name),
            optional.get(CONTENT_MASK, {}).get(name),
            optional.get(STYLE_MASK, {}).get(name),
            optional.get(TRUTH, {}).get(name),
            {other: photos[name] for other, photos in others.items() if name in photos},
        )
        for name, path in list(contents.items())[:limit]
    ]


def photos_by_name(folder: Path) -> dict[str, Path]:
    """The photos directly in a folder by their stems, sorted.

    Raises:
        InputError: no such folder, or two photos of one stem.
    """
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror})") from error
    photos: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith("."):
            if file.stem in photos:
                raise InputError(f"{folder}: {photos[file.stem].name} and {file.name} are both called {file.stem!r}")
            photos[file.stem] = file
    return photos


def read_pair(files: PairFiles) -> PairImages:
    """Read a pair at the size at which it is compared: 512 px on the longer side, never enlarged.

    Raises:
        PhotoError: no style photo, a file that can't be read, or a photo too small to compare.
        InputError: a mask of another aspect ratio than its photo.
    """
    if files.style is None:
        raise PhotoError(f"{files.content}: no style photo is called {files.name!r}")
    content_pixels, style_pixels = read_srgb(files.content), read_srgb(files.style)
    content, style = to_tensor(shrink(content_pixels, LONGEST)), to_tensor(shrink(style_pixels, LONGEST))
    height, width = (side // MULTIPLE * MULTIPLE for side in content.shape[-2:])
    for path, sides in ((files.content, (height, width)), (files.style, style.shape[-2:])):
        if min(sides) < MIN_SIDE:
            raise PhotoError(f"{path}: too small to compare, at {LONGEST} px on the longer side {sides[1]}x{sides[0]}")
    size = (height, width)
    masks = [torch.ones(1, 1, *size), torch.ones(1, 1, *style.shape[-2:])]
    if files.content_mask is not None and files.style_mask is not None:
        masks = [
            _read_mask(files.content_mask, content_pixels, size),
            _read_mask(files.style_mask, style_pixels, (style.shape[-2], style.shape[-1])),
        ]
    truth = None if files.truth is None else read_at(files.truth, size)
    references = {name: read_at(path, size) for name, path in files.references.items()}
    return PairImages(resize(content, size), style, masks[0], masks[1], truth, references)


def read_at(path: Path, size: tuple[int, int]) -> torch.Tensor:
    """A photo at a given (height, width), `(1, 3, height, width)`.

    Raises:
        PhotoError: it can't be read.
    """
    return resize(to_tensor(read_srgb(path)), size).clamp(0, 1)


def resize(image: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Bilinear, antialiased when shrinking; a few pixels of another aspect ratio are pressed into the content's."""
    return F.interpolate(image, tuple(size), mode="bilinear", antialias=True)


def shrink(pixels: npt.NDArray[np.uint8], max_side: int) -> npt.NDArray[np.uint8]:
    """Shrink to at most so many pixels on the longer side, at its own aspect ratio."""
    image = Image.fromarray(pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return np.array(image)


def _read_mask(path: Path, photo: npt.NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """A mask at the size of the comparison, whose rounding `read_mask` would take for another aspect ratio."""
    pixels = read_srgb(path)
    check_aspect(str(path), (pixels.shape[0], pixels.shape[1]), (photo.shape[0], photo.shape[1]))
    # Nearest: between two labels lies none that is meant.
    resized = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return colors_to_mask(to_tensor(np.array(resized)))
