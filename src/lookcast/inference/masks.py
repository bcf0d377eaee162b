"""Check the masks that a caller passes, convert them to soft masks, and move them to the device."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lookcast.checks import InputError, check_shape
from lookcast.inference.styles import EncodedStyle
from lookcast.ops.masks import NUM_LABELS, PALETTE, UNLABELLED, check_aspect, labels_to_mask
from lookcast.ops.regions import MIN_SHARE, absent_labels, check_mask_pair, check_mask_pairing, label_shares
from lookcast.paths import check_path
from lookcast.photos.adapters import check_dense, open_image
from lookcast.photos.masks import colors_to_labels, read_mask
from lookcast.photos.photo import to_8_bits

Masks = torch.Tensor | Sequence[torch.Tensor]
AnyMask = torch.Tensor | str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A mask as callers may pass it; see `Stylizer.stylize`."""
AnyMasks = AnyMask | Sequence[AnyMask]

_ROUNDING = 1e-3  # tolerance for soft masks that exceed [0, 1] after resizing

logger = logging.getLogger(__name__)


def read_masks(name: str, masks: AnyMasks | None) -> Masks | None:
    """Convert the masks of a call to tensors. Files and PIL images show nine colours, and arrays hold labels.

    Args:
        name: name of the argument, for messages.
        masks: one mask, a list of masks, or None.

    Raises:
        InputError: a file can't be read, or an image is no mask.
    """
    if isinstance(masks, list | tuple):
        return [_to_tensor(name, mask) for mask in masks]
    single: Any = masks  # for mypy, a string is a sequence too
    return None if single is None else _to_tensor(name, single)


def _to_tensor(name: str, mask: AnyMask) -> torch.Tensor:
    if isinstance(mask, str | os.PathLike):
        return read_mask(check_path(os.fspath(mask), name))
    if isinstance(mask, Image.Image):
        return colors_to_labels(name, to_8_bits(open_image(name, mask).pixels[0].numpy()))
    return torch.from_numpy(mask.copy()) if isinstance(mask, np.ndarray) else mask  # `open_mask` checks the tensor


def open_mask(name: str, mask: torch.Tensor, photo: torch.Tensor, device: torch.device, side: int) -> torch.Tensor:
    """Check a mask of a photo, convert the mask to a soft mask, and move the mask to a device.

    A mask of labels is moved to the device as uint8. On the device, it is averaged to a soft mask of at most
    `side` x `side` cells. The generator reads masks at this size, so it need not average the mask again.

    Args:
        name: name of the argument, for messages.
        mask: labels `(H, W)` or `(B, H, W)` as uint8, 0 to 8 or 255 for no label; or a soft mask `(B, K, h, w)` in
            [0, 1], with one channel for each label. The size of the mask may differ from the size of the photo, but the
            aspect ratio must be the same.
        photo: pixels `(B, H, W, 3)` of the photo.
        device: device of the generator.
        side: largest height and width of a soft mask made from labels: the generator's `mask_side`.

    Returns:
        Soft mask `(B, K, h, w)`, float32.

    Raises:
        InputError: the type, shape, range or aspect ratio is invalid, or no pixel has a label.
    """
    if not isinstance(mask, torch.Tensor):
        raise InputError(f"{name}: expected a path, a PIL image, an array or a tensor, got {type(mask).__name__}")
    check_dense(name, mask)
    labels = mask.dtype == torch.uint8
    if labels:
        mask = mask[None] if mask.ndim == 2 else mask
        check_shape(name, mask, (len(photo), "h", "w"))
    else:
        check_shape(name, mask, (len(photo), "K", "h", "w"))
    if not mask.numel():
        raise InputError(f"{name}: has no labels or no pixels, its shape is {tuple(mask.shape)}")
    (height, width), (photo_height, photo_width) = mask.shape[-2:], photo.shape[1:3]
    check_aspect(name, (height, width), (photo_height, photo_width))
    if labels:
        unknown = mask[(mask >= NUM_LABELS) & (mask != UNLABELLED)]
        if len(unknown):
            raise InputError(f"{name}: labels are 0 to {NUM_LABELS - 1}, or {UNLABELLED} for none; got {unknown[0]}")
        placed = labels_to_mask(mask.to(device), (min(height, side), min(width, side)))
    else:
        _check_shares(name, mask)
        placed = mask.to(device, torch.float32)
    if not placed.any():
        raise InputError(f"{name}: labels no pixel, all of its values are {UNLABELLED if labels else 0}")
    return placed


def _check_shares(name: str, mask: torch.Tensor) -> None:
    if not mask.is_floating_point():
        raise InputError(f"{name}: expected uint8 labels or floating point in [0, 1], got {mask.dtype}")
    low, high = (value.item() for value in mask.aminmax())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # this form also refuses NaN
        raise InputError(f"{name}: masks are in [0, 1], this one goes from {low:g} to {high:g}")


def one_for_each(masks: Masks | None, count: int) -> list[torch.Tensor | None]:
    """Return a list with one content mask for each style; a single mask, or None, is used for all `count` styles."""
    return [*masks] if isinstance(masks, list | tuple) else [masks] * count  # type: ignore[list-item]


def place_masks(
    masks: Masks | None, styles: Sequence[EncodedStyle], pixels: torch.Tensor, device: torch.device, side: int
) -> list[torch.Tensor | None]:
    """Prepare the content mask that belongs to each style. Log the labels of the content that a style lacks.

    Args:
        masks: one content mask for all styles, a list with one content mask for each style, or None.
        styles: encoded styles with their masks; empty for a single-look generator.
        pixels: pixels `(B, H, W, 3)` of the content.
        device: see `open_mask`.
        side: see `open_mask`.

    Returns:
        A list with one content mask for each style. An element is None if the style has no mask.

    Raises:
        InputError: the number of masks differs from the number of styles, only the content or only a style has a
            mask, or a mask is invalid.
    """
    given = one_for_each(masks, len(styles))
    if len(given) != len(styles):
        raise InputError(f"content_mask: {len(given)} for {len(styles)} style photos; pass one mask, or one for each")
    placed: dict[int, torch.Tensor] = {}
    for mask, style in zip(given, styles, strict=True):
        check_mask_pairing(mask, style.mask)
        if mask is None or style.mask is None:
            continue
        if id(mask) not in placed:
            placed[id(mask)] = open_mask("content_mask", mask, pixels, device, side)
        check_mask_pair(placed[id(mask)], style.mask)
        _log_absent_labels(placed[id(mask)], style.mask)
    return [placed.get(id(mask)) for mask in given]


def _log_absent_labels(content_mask: torch.Tensor, style_mask: torch.Tensor) -> None:
    """Log each label of the content mask `(B, K, h, w)` that is absent from the style mask `(1, K, h, w)`."""
    content, style = (label_shares(mask).mean(0) for mask in (content_mask, style_mask))
    for label in (absent_labels(content, style) & (content >= MIN_SHARE)).nonzero()[:, 0].tolist():
        logger.warning(
            "%s covers %.0f %% of the content and is not in the style: it takes the look of the whole style photo",
            PALETTE[label][0] if len(content) == NUM_LABELS else f"label {label}",
            100 * content[label],
        )
