"""A picture of the errors of a colour table, over the photo."""

import torch

from lookcast.checks import check_shape
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_image

SCALE = ((0.0, "the dimmed photo"), (5.0, "purple"), (10.0, "orange"), (20.0, "pale yellow"))
"""Errors in CIELAB and the colour of each error. Colours between them are interpolated."""
_COLORS = ((0.0, 0.0, 0.0), (0.55, 0.1, 0.6), (0.95, 0.5, 0.1), (1.0, 1.0, 0.7))
_DIMMED = 0.35


def heat_map(before: torch.Tensor, errors: torch.Tensor) -> torch.Tensor:
    """Paint the errors of a table over a dimmed grey photo, in the colours of `SCALE`.

    Args:
        before: the photo, `(1, 3, H', W')` in [0, 1]; resized to the size of the errors.
        errors: errors in CIELAB, `(H, W)`; NaN where there is no error, which is painted as dimmed photo in blue.

    Returns:
        `(1, 3, H, W)` in [0, 1].

    Raises:
        ShapeError: `before` or `errors` has another shape.
    """
    check_shape("before", before, (1, 3, "H", "W"))
    check_shape("errors", errors, ("H", "W"))
    if before.shape[-2:] != errors.shape:
        before = resize_image(before, *errors.shape).clamp(0, 1)
    dimmed = _DIMMED * luma(before)
    known = ~errors.isnan()
    steps = torch.tensor([error for error, _ in SCALE]).to(before)
    colors = before.new_tensor(_COLORS)
    values = errors.nan_to_num().to(before).clamp(0, float(steps[-1]))
    index = (torch.bucketize(values, steps, right=True) - 1).clamp_max(len(steps) - 2)
    along = ((values - steps[index]) / (steps[index + 1] - steps[index]))[..., None]
    painted = (colors[index] * (1 - along) + colors[index + 1] * along).permute(2, 0, 1)[None]
    cover = (values / steps[1]).clamp_max(1)
    blue = dimmed * before.new_tensor([0.4, 0.6, 1.4]).view(1, 3, 1, 1)
    return torch.where(known, dimmed * (1 - cover) + painted * cover, blue)
