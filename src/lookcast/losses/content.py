"""The content term of the loss."""

from collections.abc import Sequence

import torch
from torch import nn

from lookcast.structures import Features


class ContentLoss(nn.Module):
    """Mean squared difference of features, mean over taps: `1/(N D) sum (F[O] - F[I])^2`.

    The paper has a further factor of one half.

    Args:
        taps: the taps to compare.

    Reference:
        Luan et al. 2017, eq. 1 (after Gatys et al. 2016).
    """

    def __init__(self, taps: Sequence[str]) -> None:
        super().__init__()
        self.taps = tuple(taps)

    def forward(self, output: Features, content: Features) -> torch.Tensor:
        """Return the difference, a scalar; both are features of images of one size."""
        terms = [(output[tap] - content[tap]).square().mean() for tap in self.taps]
        return torch.stack(terms).mean()
