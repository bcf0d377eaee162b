"""One photo from its file to its file, and the styles of a run from theirs."""

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

if TYPE_CHECKING:  # the package imports all of kornia, which photos without masks do not need
    from lookcast.segmenters.auto_masks import AutoMasks

logger = logging.getLogger(__name__)


class FileOptions(NamedTuple):
    """Options for reading and writing photo files.

    Attributes:
        quality: of JPEG, WebP and HEIC, 1 to 100.
        subsampling: of chroma in JPEG, see `write_photo`.
        max_pixels: a photo that claims more is refused before it is decoded.
        lenient: stylize what can be read of a damaged photo.
    """

    quality: int = 95
    subsampling: str = "4:4:4"
    max_pixels: int = MAX_PIXELS
    lenient: bool = False


FILE_DEFAULTS = FileOptions()


def read_styles(
    photos: Sequence[Path],
    masks: Sequence[Path] = (),
    weights: Sequence[float] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> list[StyleInput]:
    """Read style photos, and a mask for each or none.

    Args:
        photos: the files.
        masks: PNGs in the nine colours, as many as photos, or none.
        weights: shares of the photos; None mixes them equally.
        max_pixels: as in `FileOptions`.

    Raises:
        PhotoError: a file can't be read.
        InputError: other numbers of masks or weights than of photos, or a mask of another aspect ratio.
    """
    if len(masks) not in (0, len(photos)):
        raise InputError(f"--style-mask: {len(masks)} for {len(photos)} style photos; each needs its own")
    if weights is not None and len(weights) != len(photos):
        raise InputError(f"--weights: {len(weights)} for {len(photos)} style photos")
    styles = []
    for number, path in enumerate(photos):
        pixels = read_srgb(path, max_pixels)
        mask = _read_mask_of(masks[number], pixels, max_pixels) if masks else None
        styles.append(StyleInput(pixels, mask, 1.0 if weights is None else weights[number]))
    return styles


def stylize_file(
    stylizer: Stylizer,
    job: Job,
    strength: float = 1.0,
    auto_masks: "AutoMasks | None" = None,
    files: FileOptions = FILE_DEFAULTS,
) -> bool:
    """Read, stylize and write a photo. Wide colour profiles go through sRGB and come back.

    Args:
        stylizer: with its style set, unless masks are found together with the style.
        job: the photo.
        strength: as in `Stylizer.stylize`.
        auto_masks: finds the masks of both photos; None where the job has a mask, or without masks.
        files: options for files.

    Returns:
        Whether the photo is damaged. With `files.lenient`, the part that could be read is written, and the log says
        what is missing.

    Raises:
        PhotoError: this photo or its mask can't be read, or its format can't be written.
        InputError: the file can't be written, or the stylizer does not fit.
    """
    photo = read_photo(job.source, files.max_pixels, files.lenient)
    if photo.damage is not None:
        logger.warning("%s: %s", job.source, photo.damage)
    check_writable(job.target, files.quality, files.subsampling)  # before the work, not after
    content = to_srgb(photo.pixels, photo.icc_profile)
    if auto_masks is None:
        mask = None
        if job.mask is not None:
            try:
                mask = _read_mask_of(job.mask, content, files.max_pixels)
            except InputError as error:  # concerns this photo only: the others of a folder are stylized
                raise error if isinstance(error, PhotoError) else PhotoError(f"{job.source}: {error}") from error
        stylized = stylizer.stylize_pixels(torch.from_numpy(content)[None], mask, strength)[0].numpy()
    else:
        stylized = stylizer.stylize(content, strength=strength, **auto_masks(content, job.source.stem))
    pixels = from_srgb(stylized, content, photo.pixels, photo.icc_profile)
    write_photo(job.target, photo._replace(pixels=pixels), files.quality, files.subsampling)
    return photo.damage is not None


def _read_mask_of(path: Path, pixels: npt.NDArray[Any], max_pixels: int) -> torch.Tensor:
    mask = read_mask(path, max_pixels=max_pixels)
    check_aspect(str(path), (mask.shape[0], mask.shape[1]), (pixels.shape[0], pixels.shape[1]))
    return mask
