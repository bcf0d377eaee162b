"""Stylization of one photo file, and reading of the style photos of a run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt
import torch

from lookcast.checks import InputError
from lookcast.inference.jobs import Job
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.masks import check_aspect
from lookcast.photos.color import from_srgb, to_srgb
from lookcast.photos.masks import read_mask
from lookcast.photos.read import MAX_PIXELS, PhotoError, check_writable, read_photo, read_srgb, write_photo
from lookcast.structures import StyleInput

if TYPE_CHECKING:  # these packages import all of kornia, which most photos do not need
    from lookcast.fitting.look_fit import LookFit
    from lookcast.segmenters.auto_masks import AutoMasks

logger = logging.getLogger(__name__)


class FileOptions(NamedTuple):
    """Options for reading and writing photo files.

    Attributes:
        quality: quality of JPEG, WebP and HEIC, 1 to 100.
        subsampling: chroma subsampling of JPEG and HEIC; see `write_photo`.
        max_pixels: largest number of pixels of a photo. A larger photo is refused before it is decoded.
        lenient: if True, stylize the readable part of a damaged photo.
        replace: if False, an output file that exists is kept, and its photo fails.
    """

    quality: int = 95
    subsampling: str = "4:4:4"
    max_pixels: int = MAX_PIXELS
    lenient: bool = False
    replace: bool = True


FILE_DEFAULTS = FileOptions()


def read_styles(
    photos: Sequence[Path],
    masks: Sequence[Path] = (),
    weights: Sequence[float] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> list[StyleInput]:
    """Read style photos and, if given, their masks.

    Args:
        photos: the files of the style photos.
        masks: one mask file for each photo, a PNG in the nine colours of `PALETTE`; empty to use no masks.
        weights: weight of each photo in the mix; None gives all photos the same weight.
        max_pixels: see `FileOptions`.

    Raises:
        PhotoError: a file can't be read.
        InputError: the number of masks or weights differs from the number of photos, or the aspect ratio of a mask
            differs from the aspect ratio of its photo.
    """
    if len(masks) not in (0, len(photos)):
        raise InputError(f"--style-mask: {len(masks)} for {len(photos)} style photos; each style photo needs one mask")
    if weights is not None and len(weights) != len(photos):
        raise InputError(f"--weights: {len(weights)} for {len(photos)} style photos")
    styles = []
    for number, path in enumerate(photos):
        pixels = read_srgb(path, max_pixels)
        mask = _read_mask_of(masks[number], pixels, max_pixels) if masks else None
        styles.append(StyleInput(pixels, mask, 1.0 if weights is None else weights[number]))
    return styles


def read_content(
    source: Path, mask: Path | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[npt.NDArray[Any], torch.Tensor | None]:
    """Read a photo to stylize, and its mask if it has one.

    Args:
        source: the photo.
        mask: mask file of the photo, a PNG in the nine colours of `PALETTE`; None without masks.
        max_pixels: see `FileOptions`.

    Returns:
        The sRGB pixels `(H, W, 3)` in the bit depth of the photo, and the labels of the mask.

    Raises:
        PhotoError: a file can't be read.
        InputError: the aspect ratio of the mask differs from the aspect ratio of the photo.
    """
    photo = read_photo(source, max_pixels)
    content = to_srgb(photo.pixels, photo.icc_profile)
    return content, None if mask is None else _read_mask_of(mask, content, max_pixels)


def stylize_file(
    stylizer: Stylizer,
    job: Job,
    strength: float = 1.0,
    auto_masks: "AutoMasks | None" = None,
    files: FileOptions = FILE_DEFAULTS,
    refine: "int | LookFit" = 0,
) -> bool:
    """Read, stylize and write a photo. The output has the colour profile of the input.

    A photo with a wide-gamut profile is converted to sRGB, and the result is converted back.

    Args:
        stylizer: the stylizer. Its style must be set by `set_style`, unless `auto_masks` is given.
        job: the paths of the photo.
        strength: see `Stylizer.stylize`.
        auto_masks: finds masks for the content and the styles, and returns the styles and all masks as keyword
            arguments of `Stylizer.stylize`. None if the job has a mask file, or to use no masks.
        files: options for reading and writing files.
        refine: see `Stylizer.stylize`.

    Returns:
        True if the photo is damaged. With `files.lenient`, the function stylizes and writes the readable part of a
        damaged photo, and the log states the damage.

    Raises:
        PhotoError: the photo or its mask can't be read, or the format of the output can't be written.
        InputError: the output file can't be written, or the checkpoint does not accept the style or the masks.
    """
    photo = read_photo(job.source, files.max_pixels, files.lenient)
    if photo.damage is not None:
        logger.warning("%s: %s", job.source, photo.damage)
    check_writable(job.target, files.quality, files.subsampling)  # fails before the computation, not after it
    content = to_srgb(photo.pixels, photo.icc_profile)
    if auto_masks is None:
        mask = None
        if job.mask is not None:
            try:
                mask = _read_mask_of(job.mask, content, files.max_pixels)
            except InputError as error:  # as a PhotoError, the error skips this photo only, not the rest of the batch
                raise error if isinstance(error, PhotoError) else PhotoError(f"{job.source}: {error}") from error
        stylized = stylizer.stylize_pixels(torch.from_numpy(content)[None], mask, strength, refine=refine)[0].numpy()
    else:
        stylized = stylizer.stylize(content, strength=strength, refine=refine, **auto_masks(content, job.source.stem))
    pixels = from_srgb(stylized, content, photo.pixels, photo.icc_profile)
    write_photo(job.target, photo._replace(pixels=pixels), files.quality, files.subsampling, files.replace)
    return photo.damage is not None


def _read_mask_of(path: Path, pixels: npt.NDArray[Any], max_pixels: int) -> torch.Tensor:
    mask = read_mask(path, max_pixels=max_pixels)
    check_aspect(str(path), (mask.shape[0], mask.shape[1]), (pixels.shape[0], pixels.shape[1]))
    return mask
