"""The loss of an output for one content photo and its style photos."""

from collections.abc import Sequence
from copy import copy, deepcopy

import torch

from lookcast.checks import InputError, check_shape
from lookcast.encoders.base import Encoder
from lookcast.encoders.compact import CompactEncoder
from lookcast.losses.color import ColorLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.masks import resize_mask
from lookcast.ops.regions import MIN_SHARE, check_mask_pair, label_shares
from lookcast.ops.resize import resize_image
from lookcast.structures import LossTerms, StyleInput, Stylization

_MULTIPLE = 8  # stride of the deepest tap of the compact encoder
_MIN_SIDE = 32


class PairLoss:
    """The loss terms of an output for one content photo and its style photos.

    The photos are shrunk, and everything that does not depend on the output is computed once: the features, and the
    targets of the style and colour terms. The terms are a fixed function of the output: the colour term uses the same
    random directions in each call, and the encoder computes in float32. The line search of L-BFGS needs both.

    Attributes:
        content: the shrunk content photo, `(1, 3, h, w)` in [0, 1].

    Args:
        loss: the weighted sum of loss terms. It is copied, because several threads may use it.
        encoder: the frozen encoder, on the device of the photos.
        content: the content photo, `(1, 3, H, W)` in [0, 1].
        styles: the styles. Each photo is `(1, 3, H', W')` in [0, 1], each mask `(1, K, h', w')` or None. The weights
            may have any sum.
        masks: for each style, the mask of the content `(1, K, h, w)`; None without masks.
        max_side: see `LookFit`.

    Raises:
        ShapeError: the content or a style is no single photo.
        InputError: there are no styles, the number of masks differs from the number of styles, or only one photo of a
            pair has a mask.
    """

    def __init__(
        self,
        loss: DeepPhotoLoss,
        encoder: Encoder,
        content: torch.Tensor,
        styles: Sequence[StyleInput],
        masks: Sequence[torch.Tensor | None],
        max_side: int,
    ) -> None:
        if not styles or len(styles) != len(masks):
            raise InputError(f"styles: expected one content mask or None for each, got {len(styles)} and {len(masks)}")
        check_shape("content", content, (1, 3, "H", "W"))
        for style, mask in zip(styles, masks, strict=True):
            check_shape("style", style.photo, (1, 3, "H", "W"))
            check_mask_pair(mask, style.mask)
        self.loss = deepcopy(loss).to(content.device)
        self.encoder = encoder
        if isinstance(encoder, CompactEncoder):
            self.encoder = copy(encoder)  # shares the weights
            self.encoder.half_precision = False
        self.content = _shrink(content, max_side)
        total = sum(style.weight for style in styles)
        small = [style._replace(photo=_shrink(style.photo, max_side), weight=style.weight / total) for style in styles]
        if isinstance(self.loss.color, ColorLoss):
            self.loss.color.generator = torch.Generator().manual_seed(0)
        self.styles = []
        with torch.no_grad():
            self.content_features = self.encoder(self.content)
            for style, mask in zip(small, masks, strict=True):
                pair = present_labels(_mask_like(self.content, mask), _mask_like(style.photo, style.mask))
                targets = self.loss.targets(style.photo, self.encoder(style.photo), pair[1])
                self.styles.append((style.weight, targets, pair[0]))

    def terms(self, grid: torch.Tensor) -> LossTerms:
        """Return the terms of a grid `(1, 12, D, GH, GW)`, as means over the styles with their weights."""
        return self.terms_of(Stylization(apply_grid(grid, self.content), grid))

    def terms_of(self, output: Stylization) -> LossTerms:
        """Return the terms of an output `(1, 3, h, w)`, not clamped; see `terms`."""
        image = output.image
        features = self.encoder(image.clamp(0, 1))
        means = torch.zeros(len(LossTerms._fields), device=image.device)
        for weight, targets, mask in self.styles:
            terms = self.loss.compare(self.content, output, self.content_features, features, targets, mask)
            means = means + weight * torch.stack([term.to(means) for term in terms])
        return LossTerms(*means)


def fit_size(height: int, width: int, max_side: int) -> tuple[int, int]:
    """Return the height and width at which the losses compare a photo, as multiples of 8 px.

    The longer side is at most `max_side`. A photo that is smaller keeps its size, up to the rounding. A side is never
    shorter than 32 px.
    """
    factor = min(1.0, max_side // _MULTIPLE * _MULTIPLE / max(height, width))
    rows, columns = (max(_MIN_SIDE, round(side * factor / _MULTIPLE) * _MULTIPLE) for side in (height, width))
    return rows, columns


def present_labels(
    content_mask: torch.Tensor | None, style_mask: torch.Tensor | None
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return two masks `(1, K, H, W)` without the labels that the content lacks, which change no term of the loss.

    Mask files have nine labels, and most photos have two to four of them. If the content has no label, the masks stay
    unchanged.
    """
    if content_mask is None or style_mask is None:
        return content_mask, style_mask
    present = label_shares(content_mask)[0] >= MIN_SHARE
    if not present.any():
        return content_mask, style_mask
    return content_mask[:, present], style_mask[:, present]


def _shrink(photo: torch.Tensor, max_side: int) -> torch.Tensor:
    """Return a resized copy, which is no inference tensor if the caller is not in inference mode."""
    photo, size = photo.clone(), fit_size(photo.shape[-2], photo.shape[-1], max_side)
    return photo if photo.shape[-2:] == size else resize_image(photo, *size).clamp(0, 1)


def _mask_like(photo: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor | None:
    return None if mask is None else resize_mask(mask.clone(), photo.shape[-2:])
