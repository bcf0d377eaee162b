"""A second transfer of colours, from histograms: each region gets the tones of its region in the style."""

import math

import torch
from torch import nn

from lookcast.generators.regions import blur_volume
from lookcast.generators.statistics import PhotoStatistics, depth_shares
from lookcast.ops.bilateral.dispatch import apply_grid_to_images
from lookcast.ops.precision import full_precision, no_autocast


class ToneTransfer(nn.Module):
    """Module that corrects a predicted grid, so that the tones of each region come closer to those of the style.

    The pixels of a region are sorted by luma. The darkest tenth of a region in the content corresponds to the darkest
    tenth of this region in the style, and so on. This is optimal transport of the luma. For each luma step of the grid,
    the correction is the mean colour of the corresponding pixels of the style, minus the mean colour that the grid
    gives to the pixels of the step. It is a constant in each step, so the matrices of the grid stay as they are. The
    module adds only a part of this difference: times a factor for each cell, which the network predicts, and times a
    factor that is small for steps with few pixels.

    If the content is its own style, the correction is 0, up to rounding.

    Args:
        channels: number of channels of the generator's residual blocks.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.share = nn.Conv2d(channels, 1, 1)
        nn.init.zeros_(self.share.weight)
        assert self.share.bias is not None
        nn.init.zeros_(self.share.bias)  # before training, the factor of each cell is .5
        # The share of a region's pixels that halves the correction of a luma step.
        self.floor = nn.Parameter(torch.tensor(math.log(0.05), device="cpu"))

    def forward(
        self,
        grid: torch.Tensor,
        photos: tuple[PhotoStatistics, PhotoStatistics],
        masks: tuple[torch.Tensor, torch.Tensor],
        regions: torch.Tensor,
        hidden: torch.Tensor,
    ) -> torch.Tensor:
        """Return the correction of a grid.

        Args:
            grid: `(B, 12, D, 16, 16)`.
            photos: the statistics of the content and of the style.
            masks: the regions of the content, `(B, K, 64, 64)`, and of the style, `(1 or B, K, 64, 64)`.
            regions: the share of each region in each cell of the grid, `(B, K, D, 16, 16)`.
            hidden: output of the residual blocks, `(B, C, 16, 16)`.

        Returns:
            `(B, 12, D, 16, 16)`.
        """
        factor = full_precision(self.share(hidden)).sigmoid()
        content, style = (photo.tones for photo in photos)
        assert content is not None
        assert style is not None
        with no_autocast(grid):
            (mass, drawn), (style_mass, wanted) = (
                _region_sums(tones, mask) for tones, mask in zip((_apply(grid, content), style), masks, strict=True)
            )
            moved = _overlap(mass, style_mass) @ (wanted / style_mass.clamp_min(1e-12)[..., None]) - drawn
            count = mass.shape[-1]
            centres = (torch.arange(count, device=grid.device, dtype=grid.dtype) + 0.5) / count
            steps = depth_shares(centres.view(1, 1, 1, -1), grid.shape[2])  # (1, D, 1, T)
            steps = blur_volume(steps.permute(0, 3, 1, 2)[..., None])[0, ..., 0, 0].T  # (D, T), blurred along the depth
            change, share = steps @ moved, steps @ mass[..., None]
            colors = change / (share + self.floor.exp())  # (B, K, D, 3)
            offset = torch.einsum("bkdhw,bkdc->bcdhw", regions, colors) * factor[:, :, None]
            matrix = torch.zeros_like(offset)[:, :, None].expand(-1, -1, 3, -1, -1, -1)
            return torch.cat([matrix, offset[:, :, None]], 2).flatten(1, 2)


def _apply(grid: torch.Tensor, tones: torch.Tensor) -> torch.Tensor:
    """Apply a grid to the mean colour of each place and luma step."""
    mass = tones[:, :, :1]
    drawn = apply_grid_to_images(grid, tones[:, :, 1:] / mass.clamp_min(1e-12)).clamp(0, 1)
    return torch.cat([mass, drawn * mass], 2)


def _region_sums(tones: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the share of each luma step in each region, `(B, K, T)`, then times its mean colour, `(B, K, T, 3)`."""
    batch, steps = tones.shape[:2]
    sums = mask.flatten(2) @ tones.reshape(batch, steps * 4, -1).transpose(1, 2)
    sums = sums.view(*sums.shape[:2], steps, 4)
    sums = sums / sums[..., :1].sum(2, keepdim=True).clamp_min(1e-6)
    return sums[..., 0], sums[..., 1:]


def _overlap(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the optimal transport between two histograms `(..., T)`: the mass from each bin to each bin."""
    ends = [histogram.cumsum(-1) for histogram in (first, second)]
    starts = [end - histogram for end, histogram in zip(ends, (first, second), strict=True)]
    upper = torch.minimum(ends[0][..., :, None], ends[1][..., None, :])
    lower = torch.maximum(starts[0][..., :, None], starts[1][..., None, :])
    return (upper - lower).clamp_min(0)
