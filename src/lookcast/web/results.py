"""Results: a photo with the grid that the network predicted. Pictures of any strength are sliced from the grid."""

import time
from copy import copy
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy.typing as npt
import torch

from lookcast.checks import InputError
from lookcast.inference.export.cube import write_fitted
from lookcast.inference.refine import open_refine
from lookcast.inference.styles import check_strength
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.color import from_srgb
from lookcast.photos.photo import to_8_bits
from lookcast.photos.read import check_writable, to_tensor, write_photo
from lookcast.segmenters.auto_masks import AutoMasks
from lookcast.structures import StyleInput
from lookcast.web.looks import Looks
from lookcast.web.photos import PhotoReader, StoredPhoto
from lookcast.web.pixels import Preview
from lookcast.web.visits import new_id

_NAMED_STYLES = 3
"""Number of styles whose names are part of a file name."""
MaskChoice = Literal[True, False, "auto"]
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp"}
"""The suffix of a downloaded file for each name of a format."""


class WantedLook(NamedTuple):
    """What a visitor wants to do with a photo.

    Attributes:
        styles: the style photos, each with its weight; empty for a checkpoint with a single look.
        use_masks: True uses the masks of content and styles, "auto" finds masks for this result only.
        refine: number of refinement steps.
        checkpoint: name of the checkpoint.
    """

    styles: tuple[tuple[StoredPhoto, float], ...]
    use_masks: MaskChoice
    refine: int
    checkpoint: str


class Result(NamedTuple):
    """A predicted look of a photo.

    Attributes:
        id: the result's id.
        content: the content photo.
        look: what the visitor wanted.
        stylizer: the stylizer of the checkpoint.
        grid: `(1, 12, D, GH, GW)` at full strength.
        seconds: duration of the prediction.
    """

    id: str
    content: StoredPhoto
    look: WantedLook
    stylizer: Stylizer
    grid: torch.Tensor
    seconds: float


def predict(reader: PhotoReader, looks: Looks, content: StoredPhoto, look: WantedLook) -> Result:
    """Predict the grid of a photo. This is the only step that runs the network.

    Raises:
        InputError: the styles, masks or weights do not match, or the checkpoint does not take them.
    """
    start = time.perf_counter()
    pixels = reader.open(content).srgb
    if look.use_masks is True and all(photo.mask is None for photo in (content, *(style for style, _ in look.styles))):
        raise InputError(f"masks: {content.name} has no mask, and no style has one")
    stylizer = with_styles(reader, looks, look)
    masks: Any = content.mask if look.use_masks is True else None
    if look.use_masks == "auto":
        found = AutoMasks(looks.open_segmenter(), style_inputs(reader, look))(pixels)
        stylizer.set_style(found["style"])
        masks = found["content_mask"]
    fit = open_refine(look.refine)
    grid = stylizer.predict_grid(torch.from_numpy(pixels)[None], masks, refine=fit or 0)
    seconds = time.perf_counter() - start
    return Result(new_id(), content, look, looks.open(look.checkpoint), grid, seconds)


def with_styles(reader: PhotoReader, looks: Looks, look: WantedLook) -> Stylizer:
    """Return a stylizer with the styles of one visitor. It shares the network with all visitors.

    Raises:
        InputError: see `predict`.
    """
    stylizer = copy(looks.open(look.checkpoint))
    if look.styles:
        stylizer.set_style(style_inputs(reader, look))
    elif stylizer.generator.takes_style:
        raise InputError(f"styles: the checkpoint {look.checkpoint} needs a style photo")
    return stylizer


def style_inputs(reader: PhotoReader, look: WantedLook) -> list[StyleInput]:
    """Return the style photos with their weights and, if the visitor wants them, their masks."""
    masks = [photo.mask if look.use_masks is True else None for photo, _ in look.styles]
    return [
        StyleInput(reader.style_pixels(photo), mask, weight)
        for (photo, weight), mask in zip(look.styles, masks, strict=True)
    ]


def preview(reader: PhotoReader, result: Result, side: int, strength: float) -> Preview:
    """Return the stylized photo in a size for the screen. The network does not run."""
    small = reader.preview(result.content, side)
    return small._replace(pixels=_slice(result, small.pixels, strength))


def crop(reader: PhotoReader, result: Result, box: tuple[int, int, int, int], strength: float) -> npt.NDArray[Any]:
    """Return a part of the stylized photo at full size, as 8-bit sRGB. The values equal those of the whole photo.

    Args:
        reader: reads the photo.
        result: the result.
        box: left, top, right and bottom edge in pixels.
        strength: see `Stylizer.stylize`.
    """
    left, top, right, bottom = box
    pixels = torch.from_numpy(reader.open(result.content).srgb)[None]
    rows = result.stylizer.apply_grid_to_rows(result.grid, pixels, check_strength(strength), top, bottom)
    return to_8_bits(rows[0, :, left:right].numpy())


def write_full(reader: PhotoReader, result: Result, path: Path, strength: float) -> None:
    """Write the stylized photo at full size, as `lookcast stylize` writes it. The suffix determines the format.

    Raises:
        InputError: the format can't hold the photo, or the file can't be written.
    """
    check_writable(path)
    photo, srgb = reader.open(result.content)
    pixels = from_srgb(_slice(result, srgb, strength), srgb, photo.pixels, photo.icc_profile)
    write_photo(path, photo._replace(pixels=pixels))


def write_lut(reader: PhotoReader, result: Result, path: Path, title: str, strength: float) -> None:
    """Write the colour table that is fitted to a result; see `inference.export.cube`."""
    small = reader.preview(result.content, reader.limits.preview_side).pixels
    pair = (to_tensor(small), to_tensor(_slice(result, small, strength)))
    write_fitted(path, [pair], title=title, licence=result.stylizer.header.get("licence"))


def _slice(result: Result, pixels: Any, strength: float) -> Any:
    strength = check_strength(strength)
    return result.stylizer.apply_grid(result.grid, torch.from_numpy(pixels)[None], strength)[0].numpy()


def stem_of(result: Result) -> str:
    """Return the stem of a result's file name: the stem of the photo, then those of the styles or the checkpoint."""
    looks = [Path(style.name).stem for style, _ in result.look.styles[:_NAMED_STYLES]] or [result.look.checkpoint]
    return "_".join([Path(result.content.name).stem, *looks])
