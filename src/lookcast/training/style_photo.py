"""The style photo of a run, and its mask."""

import torch

from lookcast.checks import InputError
from lookcast.data.sources.folder import MIN_SIDE, find_photos
from lookcast.data.transforms import shrink_to
from lookcast.ops.masks import labels_to_mask
from lookcast.photos.masks import read_mask
from lookcast.photos.read import PhotoError, read_srgb


def read_style(style: str, style_mask: str | None, style_size: int) -> dict[str, torch.Tensor | None]:
    """Read the style photo and its mask. Both are shrunk to `style_size` pixels on the longer side.

    Returns:
        A dict with two entries. `style` is the photo, `(1, 3, H, W)` in [0, 1]. `style_mask` is the mask,
        `(1, K, H, W)` for K regions, or None without a mask.

    Raises:
        InputError: `style` is not exactly one photo, the photo is too small, or the mask does not fit the photo.
    """
    found = find_photos(style, "style")
    if len(found) != 1:
        raise InputError(f"style: expected one photo, {style} holds {len(found)}")
    try:
        pixels = read_srgb(found[0])
    except PhotoError as error:
        raise PhotoError(f"style: {error}") from error
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise InputError(f"style: {found[0]} has {pixels.shape[1]}x{pixels.shape[0]} pixels, needs {MIN_SIDE} a side")
    photo = shrink_to(torch.from_numpy(pixels).permute(2, 0, 1), style_size)[None].float() / 255
    if style_mask is None:
        return {"style": photo, "style_mask": None}
    try:
        labels = read_mask(style_mask, pixels.shape[:2])
    except InputError as error:
        raise InputError(f"style_mask: {error}") from error
    return {"style": photo, "style_mask": labels_to_mask(shrink_to(labels[None], style_size, labels=True))}
