"""Automatic masks: a segmenter finds the regions of a content photo together with each style photo."""

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

if TYPE_CHECKING:  # lookcast.segmenters imports all of kornia, which only segmentation needs
    from lookcast.segmenters import MaskPair, Segmenter

MAX_SIDE = 512
"""Approximate maximum side of a mask, in pixels. More would not help, because generators shrink masks to 64 x 64."""


class AutoMasks:
    """A callable that finds masks for a content photo and for fixed style photos.

    Args:
        segmenter: the segmenter, which finds the masks of one content and one style photo at a time.
        styles: the style photos, of any kind that `Stylizer.stylize` takes. The weight of a `StyleInput` is kept, and
            its mask is ignored.
        folder: folder for the masks as PNG files, in which each label has one of nine colours (`saved_masks`). None
            writes no files.

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
        """Find the masks of a content photo and of the styles.

        Args:
            content: one photo of any kind that `Stylizer.stylize` takes.
            name: the stem of the mask files.

        Returns:
            The arguments `style` (the styles with their masks) and `content_mask` of `Stylizer.stylize`.
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
    """Yield the paths of a photo's mask files: `content/NAME.png` and `style/NAME.png`.

    With several styles, the files are numbered: `content/NAME_1.png` and `style/NAME_1.png` for the first style, and so
    on.

    Args:
        folder: the folder of the masks.
        name: NAME, the stem of the photo.
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
    # This factor makes the short side a whole number of pixels. Rounding a short side of few pixels would change the
    # aspect ratio.
    factor = max(1, round(short * factor)) / short
    return resize_pixels(pixels[0], (round(height * factor), round(width * factor)))
