"""The content term of the loss."""

from collections.abc import Sequence

import torch
from torch import nn

from lookcast.checks import check_floating
from lookcast.ops.precision import full_precision
from lookcast.structures import Features


class ContentLoss(nn.Module):
    """Mean squared difference between the features of output and content, averaged over taps.

    The loss per tap is `1/(N D) sum (F[O] - F[I])^2`. F[O] and F[I] are the features of the output and the content,
    with N channels and D cells. The paper has a further factor of 1/2.

    Args:
        taps: names of the taps to compare.

    Reference:
        Luan et al. 2017, eq. 1 (after Gatys et al. 2016).
    """

    def __init__(self, taps: Sequence[str]) -> None:
        super().__init__()
        self.taps = tuple(taps)

    def forward(self, output: Features, content: Features) -> torch.Tensor:
        """Return the loss, a scalar, for features of two images of the same size.

        Raises:
            InputError: features are empty or not floating point.
        """
        for tap in self.taps:
            check_floating(f"output[{tap!r}]", output[tap])
            check_floating(f"content[{tap!r}]", content[tap])
        # float16 holds no squares above 65504.
        terms = [(full_precision(output[tap]) - content[tap]).square().mean() for tap in self.taps]
        return torch.stack(terms).mean()
