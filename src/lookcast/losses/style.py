"""The style term of the loss: Gram matrices of corresponding regions."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from lookcast.ops.gram import gram_matrix, relative_distance
from lookcast.ops.regions import MIN_SHARE, check_mask_pair, fall_back, label_shares, mean_over_labels
from lookcast.structures import Features


def style_targets(features: Features, mask: torch.Tensor | None, taps: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return, for each tap, the Gram matrices `(B, K, C + 1, C + 1)` of K regions of a style photo, as loss targets.

    A label absent from the style takes the Gram matrix of the whole style photo (`ops.regions.fall_back`).
    """
    targets = {}
    for tap in taps:
        whole = gram_matrix(features[tap])
        if mask is None:
            targets[tap] = whole
            continue
        targets[tap] = fall_back(gram_matrix(features[tap], mask), whole, label_shares(mask))
    return targets


class SegmentedStyleLoss(nn.Module):
    """Relative distance between the Gram matrices of matching regions, averaged over labels, taps and the batch.

    The loss per tap is `sum_k w_k |G_k[O] - G_k[S]| / |G_k[S]| / sum_k w_k`. G_k[O] and G_k[S] are the Gram matrices
    of label k in the output and the style, and w_k is the area of label k in the content. The paper uses squared
    absolute distances and equal weights for all labels (`PaperStyleLoss`). Relative distances make taps and regions
    comparable, whatever the scale of the features, so one learning rate serves every encoder. Unlabelled pixels are
    ignored. Without masks, each photo is one region.

    Args:
        taps: names of the taps to compare.
        max_cells: maximum number of cells per tap; None for all cells. A tap with more cells is subsampled to every
            n-th cell in each direction. A Gram matrix is a mean, so a quarter of 65,536 cells gives almost the same
            loss in a quarter of the time.

    Reference:
        Luan et al. 2017, eq. 3a-3b.
    """

    def __init__(self, taps: Sequence[str], max_cells: int | None = None) -> None:
        super().__init__()
        self.taps, self.max_cells = tuple(taps), max_cells

    def forward(
        self,
        output: Features,
        style: Features,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss, a scalar.

        Args:
            output: features of the output. The regions of the output are the regions of the content.
            style: features of the style photo, with batch size 1 or the batch size of the output.
            content_mask: `(B, K, H, W)`; None stands for no mask.
            style_mask: `(1 or B, K, H', W')`; required with `content_mask`, and refused otherwise.

        Raises:
            InputError: only one mask is given, or the numbers of labels differ.
        """
        check_mask_pair(content_mask, style_mask)
        return self.compare(output, self.targets(style, style_mask), content_mask)

    def targets(self, style: Features, style_mask: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Return what `compare` needs of the style photo; see `style_targets`."""
        return style_targets({tap: self._thin(style[tap]) for tap in self.taps}, style_mask, self.taps)

    def compare(
        self, output: Features, targets: dict[str, torch.Tensor], content_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss for targets that were computed before, a scalar; see `forward`."""
        terms = []
        for tap in self.taps:
            grams = gram_matrix(self._thin(output[tap]), content_mask)
            distance = self.distance(grams, targets[tap].to(grams.dtype))
            terms.append(self.reduce(distance, content_mask))
        return torch.stack(terms).mean()

    def _thin(self, features: torch.Tensor) -> torch.Tensor:
        cells = features.shape[-2] * features.shape[-1]
        if self.max_cells is None or cells <= self.max_cells:
            return features
        step = math.ceil(math.sqrt(cells / self.max_cells))
        return features[..., ::step, ::step]

    @staticmethod
    def distance(grams: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the distance of each Gram matrix to its target, `(B, K)`."""
        return relative_distance(grams, targets)

    @staticmethod
    def reduce(distance: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Average the distances over the labels, weighted by area, then over the batch."""
        if mask is None:
            return distance.mean()
        return mean_over_labels(distance, label_shares(mask.to(distance.dtype))).mean()


class PaperStyleLoss(SegmentedStyleLoss):
    """Style loss of the paper: `sum_k 1/(2 N^2) sum_ij (G_k[O] - G_k[S])_ij^2`, with equal weights for all labels.

    N is the number of channels of the tap. Each Gram matrix is divided by the mass of the region (the sum of its mask),
    as in the authors' code.

    Reference:
        Luan et al. 2017, eq. 3a.
    """

    @staticmethod
    def distance(grams: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the squared distances `(B, K)`, without the constant channel, which the paper does not have."""
        channels = grams.shape[-1] - 1
        return (grams - targets)[..., :-1, :-1].square().sum((-2, -1)) / (2 * channels**2)

    @staticmethod
    def reduce(distance: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Sum the distances over the labels of the content, then average over the batch."""
        if mask is None:
            return distance.sum(1).mean()
        present = label_shares(mask) >= MIN_SHARE
        return (distance * present).sum(1).mean()
