"""Masks found for photos that come without: each content is segmented together with the styles."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lookcast.checks import InputError
from lookcast.ops.masks import mask_to_colors
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import AnyImage, open_image
from lookcast.photos.read import Photo, to_pixels, write_photo

if TYPE_CHECKING:  # they bring all of kornia along, which photos without masks don't need
    from lookcast.segmenters import MaskPair, Segmenter

LONGEST = 512
"""Pixels, about, on the longer side of a mask: a generator tells places apart on a 64th of a photo."""


class AutoMasks:
    """A segmenter, set up for the style photos of a run.

    Args:
        segmenter: finds regions in pairs of photos.
        styles: the style photos, of any kind that `Stylizer.stylize` takes.
        weights: their shares in the mix; None mixes them alike.
        folder: where the masks of each photo are written, as PNG in the nine colours: `content/NAME.png` and
            `style/NAME.png`, numbered where there are several styles; None writes none.

    Example:
        masks = AutoMasks(ClusterSegmenter(), [style])
        stylizer.stylize(photo, **masks(photo))
    """

    def __init__(
        self,
        segmenter: "Segmenter",
        styles: Sequence[AnyImage],
        weights: Sequence[float] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.segmenter, self.styles, self.weights, self.folder = segmenter, list(styles), weights, folder
        self.small = [_shrink("style", style) for style in styles]

    def __call__(self, content: AnyImage, name: str = "photo") -> dict[str, Any]:
        """Arguments of `Stylizer.stylize` beside the content.

        Args:
            content: a photo of any kind that `Stylizer.stylize` takes, one at a time.
            name: of the photo, for the files of the masks.
        """
        small = _shrink("content", content)
        pairs = [self.segmenter.segment_pair(small, style) for style in self.small]
        if self.folder is not None:
            for number, pair in enumerate(pairs, 1):
                self._save(pair, name if len(pairs) == 1 else f"{name}_{number}")
        return {
            "style": self.styles,
            "content_mask": [pair.content for pair in pairs],
            "style_mask": [pair.style for pair in pairs],
            "weights": self.weights,
        }

    def _save(self, pair: "MaskPair", stem: str) -> None:
        assert self.folder is not None
        for role, mask in (("content", pair.content), ("style", pair.style)):
            write_photo(self.folder / role / f"{stem}.png", Photo(to_pixels(mask_to_colors(mask))))


def _shrink(name: str, image: AnyImage) -> torch.Tensor:
    pixels = open_image(name, image).pixels
    if len(pixels) != 1:
        raise InputError(f"{name}: masks are found for one photo at a time, got a batch of {len(pixels)}")
    height, width = pixels.shape[1:3]
    short, factor = min(height, width), min(1.0, LONGEST / max(height, width))
    factor = max(1, round(short * factor)) / short  # exact there: half a pixel of few would be another aspect ratio
    return resize_pixels(pixels[0], (round(height * factor), round(width * factor)))
