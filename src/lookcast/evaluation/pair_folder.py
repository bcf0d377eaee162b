"""Find pairs of content and style in a folder, and read a pair at the size at which images are compared."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.ops.masks import check_aspect, labels_to_mask
from lookcast.ops.resize import resize_image
from lookcast.pages.html import printable
from lookcast.photos.masks import read_mask
from lookcast.photos.read import PHOTO_SUFFIXES, PhotoError, read_srgb, to_tensor

MAX_SIDE, MULTIPLE = 512, 8
"""`MAX_SIDE` is the maximum side of compared images, in pixels. Both sides of a compared content are multiples of
`MULTIPLE`, which is the largest stride of the encoder layers that the metrics use."""
MIN_SIDE = 16
"""Minimum side of compared images, in pixels. The encoders need inputs of at least this size."""
CONTENT, STYLE, CONTENT_MASK, STYLE_MASK, TRUTH = "content", "style", "content_mask", "style_mask", "truth"
OUTPUT = "output"
"""Name of the report's column for the scored outputs. A folder with another method's results can't have this name."""
_KNOWN = {CONTENT, STYLE, CONTENT_MASK, STYLE_MASK, TRUTH}


class PairFiles(NamedTuple):
    """The files of one pair; None for a file that does not exist.

    Attributes:
        name: the stem of the files, without control characters.
        content: the photo to change.
        style: the photo whose look the content should get.
        content_mask: the mask of the content, an image in the nine colours of `PALETTE`.
        style_mask: the mask of the style, in the same colours. Masks are used only if both photos have a mask.
        truth: the photo that the output should equal.
        references: the results of other methods. Each key is the name of a method's folder.
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
        """True if both photos have a mask."""
        return self.content_mask is not None and self.style_mask is not None

    @property
    def files(self) -> list[Path]:
        """All existing files of the pair."""
        named = (self.content, self.style, self.content_mask, self.style_mask, self.truth)
        return [file for file in named if file is not None] + list(self.references.values())


class PairImages(NamedTuple):
    """The photos and masks of a pair, at the size at which images are compared.

    Attributes:
        content: `(1, 3, H, W)` in [0, 1]. H and W are multiples of 8.
        style: `(1, 3, H', W')` in [0, 1], with the aspect ratio of the style photo.
        content_mask: one-hot `(1, 9, H, W)`, with a channel for each label. For a pair without masks, all ones
            `(1, 1, H, W)`.
        style_mask: one-hot `(1, 9, H', W')`. For a pair without masks, all ones `(1, 1, H', W')`.
        truth: `(1, 3, H, W)`; None for a pair without a truth.
        references: the results of other methods, each `(1, 3, H, W)`. Each key is the name of a method's folder.
    """

    content: torch.Tensor
    style: torch.Tensor
    content_mask: torch.Tensor
    style_mask: torch.Tensor
    truth: torch.Tensor | None
    references: dict[str, torch.Tensor]


def find_pairs(folder: Path, limit: int | None = None, ignore: Iterable[Path] = ()) -> list[PairFiles]:
    """List the pairs of a folder, sorted by name.

    A pair consists of `content/NAME.*` and `style/NAME.*`. The subfolders `content_mask`, `style_mask` and `truth` are
    optional. If a subfolder with any other name has a photo called NAME, this photo is the result of another method.

    Args:
        folder: the folder with the subfolders.
        limit: the maximum number of pairs; None keeps all pairs.
        ignore: subfolders that do not contain results of other methods.

    Raises:
        InputError: a folder is missing, there are no content photos, two photos in a folder have the same name, a
            folder with another method's results is called `output`, or the limit is not positive.
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
        printable(path.name): photos_by_name(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name not in _KNOWN and path.name[0] != "." and path.resolve() not in left_out
    }
    if others.get(OUTPUT, {}).keys() & contents.keys():
        raise InputError(
            f"{folder / OUTPUT}: rename this folder of results, because {OUTPUT!r} is the report's column of outputs"
        )
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
    """Return the photos or masks of a folder, sorted by file name. Subfolders are not searched.

    The key of each file is its stem, escaped by `printable`.

    Unlike `photos.folder.list_photos`, this function keeps pipes, devices and folders with the suffix of a photo. When
    `read_srgb` later refuses to read them, the evaluation skips the pair with a message. If this function dropped a
    mask that is a pipe, the evaluation would silently score the pair without masks.

    Raises:
        InputError: the folder can't be read, or two photos have the same stem.
    """
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror})") from error
    photos: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith("."):
            name = printable(file.stem)
            if name in photos:
                raise InputError(f"{folder}: {photos[name].name} and {file.name} are both called {name!r}")
            photos[name] = file
    return photos


def read_pair(files: PairFiles) -> PairImages:
    """Read a pair, shrunk to at most 512 px on the longer side. Smaller photos are not enlarged.

    Raises:
        PhotoError: there is no style photo, a file can't be read, or a photo is too small to compare.
        InputError: the aspect ratios of a mask and its photo differ.
    """
    if files.style is None:
        raise PhotoError(f"{files.content}: no style photo is called {files.name!r}")
    content_pixels, style_pixels = read_srgb(files.content), read_srgb(files.style)
    content, style = to_tensor(shrink(content_pixels, MAX_SIDE)), to_tensor(shrink(style_pixels, MAX_SIDE))
    height, width = (side // MULTIPLE * MULTIPLE for side in content.shape[-2:])
    for path, sides in ((files.content, (height, width)), (files.style, style.shape[-2:])):
        if min(sides) < MIN_SIDE:
            raise PhotoError(
                f"{path}: too small to compare: {sides[1]}x{sides[0]} pixels at the size of the comparison, "
                f"expected at least {MIN_SIDE} pixels on each side"
            )
    size = (height, width)
    masks = [torch.ones(1, 1, *size), torch.ones(1, 1, *style.shape[-2:])]
    if files.content_mask is not None and files.style_mask is not None:
        masks = [
            _read_mask(files.content_mask, content_pixels, size),
            _read_mask(files.style_mask, style_pixels, (style.shape[-2], style.shape[-1])),
        ]
    truth = None if files.truth is None else read_at(files.truth, size)
    references = {name: read_at(path, size) for name, path in files.references.items()}
    return PairImages(to_compare(content_pixels, size), style, masks[0], masks[1], truth, references)


def read_at(path: Path, size: tuple[int, int]) -> torch.Tensor:
    """Read a photo and resize it to `size`, which is (height, width): `(1, 3, height, width)` in [0, 1].

    Raises:
        PhotoError: the photo can't be read.
    """
    return to_compare(read_srgb(path), size)


def to_compare(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """Resize pixels `(H, W, 3)` to `size`, which is (height, width), for a comparison with the content.

    The content is resized with the same filters. With other filters, even an unchanged photo would differ from it.

    Returns:
        `(1, 3, height, width)` in [0, 1].
    """
    return resize_image(to_tensor(shrink(pixels, MAX_SIDE)), *size).clamp(0, 1)


def shrink(pixels: npt.NDArray[np.uint8], max_side: int) -> npt.NDArray[np.uint8]:
    """Shrink a photo to at most `max_side` pixels on the longer side. The aspect ratio is kept."""
    image = Image.fromarray(pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return np.array(image)


def _read_mask(path: Path, photo: npt.NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """Read the mask of a photo and resize it to `size`, which is (height, width).

    `size` is rounded, so its aspect ratio may differ slightly from the aspect ratio of the photo.

    Returns:
        One-hot `(1, 9, height, width)`.
    """
    labels = read_mask(path)
    check_aspect(str(path), (labels.shape[0], labels.shape[1]), (photo.shape[0], photo.shape[1]))
    # Nearest-neighbour interpolation, because the mean of two label numbers would be a third label.
    resized = Image.fromarray(labels.numpy()).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return labels_to_mask(torch.from_numpy(np.array(resized))[None])
