"""Automatic masks: a segmenter finds the regions of a content together with each style photo."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lookcast.checks import InputError
from lookcast.ops.masks import mask_to_colors
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import AnyImage, open_image
from lookcast.photos.read import Photo, to_pixels, write_photo
from lookcast.structures import StyleInput

if TYPE_CHECKING:  # this package imports all of kornia, which only segmentation needs
    from lookcast.segmenters import MaskPair, Segmenter

MAX_SIDE = 512
"""Approximate maximum side of a mask, in pixels. A generator uses at most 64 cells along a side."""


class AutoMasks:
    """A function that finds the masks of a content and of fixed style photos with a segmenter.

    Args:
        segmenter: the segmenter for pairs of content and style.
        styles: the style photos, of any kind that `Stylizer.stylize` takes. A `StyleInput` also has a weight; the mask
            of a `StyleInput` is ignored.
        folder: the masks are written into this folder as PNG files, see `saved_masks`. None writes no files.
            Each label has one of nine colours.

    Example:
        masks = AutoMasks(ClusterSegmenter(), [style])
        stylizer.stylize(photo, **masks(photo))
    """

    def __init__(
        self, segmenter: "Segmenter", styles: Sequence[AnyImage | StyleInput], folder: Path | None = None
    ) -> None:
        self.segmenter, self.folder = segmenter, folder
        self.styles = [style if isinstance(style, StyleInput) else StyleInput(style) for style in styles]
        self._small = [_shrink("style", style.photo) for style in self.styles]

    def __call__(self, content: AnyImage, name: str = "photo") -> dict[str, Any]:
        """Return the masks of a content and of the styles.

        Args:
            content: one photo of any kind that `Stylizer.stylize` takes.
            name: the stem of the mask files.

        Returns:
            The arguments `style` and `content_mask` of `Stylizer.stylize`.
        """
        small = _shrink("content", content)
        pairs = [self.segmenter.segment_pair(small, style) for style in self._small]
        if self.folder is not None:
            files = saved_masks(self.folder, name, len(pairs))
            for pair in pairs:
                _save(pair, next(files), next(files))
        styles = [style._replace(mask=pair.style) for style, pair in zip(self.styles, pairs, strict=True)]
        return {"style": styles, "content_mask": [pair.content for pair in pairs]}


def saved_masks(folder: Path, name: str, num_styles: int) -> Iterator[Path]:
    """Yield the mask files of a photo: `content/NAME.png` and `style/NAME.png`.

    Several styles have numbered files: `content/NAME_1.png` and `style/NAME_1.png` for the first style, and so on.

    Args:
        folder: the folder of the masks.
        name: the stem of the photo.
        num_styles: number of styles.
    """
    for number in range(1, num_styles + 1):
        stem = name if num_styles == 1 else f"{name}_{number}"
        yield from (folder / role / f"{stem}.png" for role in ("content", "style"))


def _save(pair: "MaskPair", content: Path, style: Path) -> None:
    for path, mask in ((content, pair.content), (style, pair.style)):
        write_photo(path, Photo(to_pixels(mask_to_colors(mask))))


def _shrink(name: str, image: AnyImage) -> torch.Tensor:
    pixels = open_image(name, image).pixels
    if len(pixels) != 1:
        raise InputError(f"{name}: masks are found for one photo at a time, got a batch of {len(pixels)}")
    height, width = pixels.shape[1:3]
    short, factor = min(height, width), min(1.0, MAX_SIDE / max(height, width))
    # The factor gives the short side an exact size. Rounding a side of few pixels would change the aspect ratio.
    factor = max(1, round(short * factor)) / short
    return resize_pixels(pixels[0], (round(height * factor), round(width * factor)))
