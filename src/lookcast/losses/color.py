"""The colour term of the loss."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia.color import rgb_to_lab
from torch import nn

from lookcast.checks import check_image
from lookcast.ops.masks import resize_mask
from lookcast.ops.precision import full_precision, full_type, no_autocast
from lookcast.ops.regions import check_mask_pair, fall_back, mean_over_labels


class ColorTargets(NamedTuple):
    """The colours of the regions of a style photo, as targets of `ColorLoss`.

    Attributes:
        directions: R random directions in CIELAB, `(R, 3)`, of length 1.
        quantiles: L quantiles of each of K regions along each direction, `(B, K, R, L)`.
    """

    directions: torch.Tensor
    quantiles: torch.Tensor


class ColorLoss(nn.Module):
    """Sliced Wasserstein distance between the colours of corresponding regions, in CIELAB units.

    The loss is the mean over the regions, weighted by area. The distance of two regions is the mean of
    `integral |Q_o(u) - Q_s(u)| du` over random directions. Q_o and Q_s are the quantile functions of the colours of
    output and style along a direction. Gram matrices hold only means and covariances, while this distance compares
    whole distributions of colours. Labels are treated as in `SegmentedStyleLoss`.

    Attributes:
        generator: random generator of the directions, on the CPU; None for torch's global generator.

    Args:
        directions: number of random directions; each call draws new ones.
        levels: number of quantiles.
        side: number of rows, and also of columns, of the regular grid at which pixels are sampled.

    Reference:
        Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", 2015.
    """

    def __init__(self, directions: int = 6, levels: int = 64, side: int = 48) -> None:
        super().__init__()
        self.directions, self.levels, self.side = directions, levels, side
        self.generator: torch.Generator | None = None

    def forward(
        self,
        output: torch.Tensor,
        style: torch.Tensor,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss, a scalar.

        Args:
            output: `(B, 3, H, W)` in [0, 1].
            style: `(1 or B, 3, H', W')`.
            content_mask: `(B, K, H, W)`; None stands for no mask.
            style_mask: `(1 or B, K, H', W')`; required with `content_mask`, and refused otherwise.
        """
        check_mask_pair(content_mask, style_mask)
        return self.compare(output, self.targets(style.to(full_type(output, style)), style_mask), content_mask)

    def targets(self, style: torch.Tensor, style_mask: torch.Tensor | None = None) -> ColorTargets:
        """Draw random directions, and return what `compare` needs of the style photo. See `forward`."""
        style = full_precision(style)
        with no_autocast(style):
            drawn = torch.randn(self.directions, 3, generator=self.generator, dtype=torch.float32, device="cpu")
            directions = F.normalize(drawn, dim=1).to(style)
            quantiles, share = self._quantiles(style, style_mask, directions)
            if style_mask is not None:
                whole, _ = self._quantiles(style, None, directions)
                quantiles = fall_back(quantiles, whole, share)
            return ColorTargets(directions, quantiles)

    def compare(
        self, output: torch.Tensor, targets: ColorTargets, content_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss for targets that were computed before, a scalar; see `forward`."""
        with no_autocast(output):
            quantiles, share = self._quantiles(output.to(targets.directions.dtype), content_mask, targets.directions)
            return mean_over_labels((quantiles - targets.quantiles).abs().mean((-2, -1)), share).mean()

    def _quantiles(
        self, image: torch.Tensor, mask: torch.Tensor | None, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the quantiles `(B, K, R, L)` and the shares `(B, K)` of the K regions.

        There are L quantiles for each of the R directions. The share of a region is its part of the photo.
        """
        check_image("image", image)
        size = (self.side, self.side)
        # Sample single pixels, because averages over several pixels would reduce the spread of the colours.
        pixels = rgb_to_lab(F.interpolate(image, size, mode="nearest")).flatten(2)
        if mask is None:
            weight = pixels.new_ones(len(image), 1, pixels.shape[-1])
        else:
            weight = resize_mask(mask.to(pixels.dtype), size).flatten(2)
        values, order = (directions @ pixels).sort(-1)  # (B, R, N)
        sorted_weight = (
            weight[:, :, None]
            .expand(-1, -1, len(directions), -1)
            .gather(3, order[:, None].expand(-1, weight.shape[1], -1, -1))
        )
        cumulative = sorted_weight.cumsum(-1)
        levels = (torch.arange(self.levels, device=image.device, dtype=pixels.dtype) + 0.5) / self.levels
        index = torch.searchsorted(cumulative, cumulative[..., -1:] * levels).clamp_max(pixels.shape[-1] - 1)
        quantiles = values[:, None].expand(-1, weight.shape[1], -1, -1).gather(3, index)
        return quantiles, weight.mean(-1)
