"""A segmenter that clusters the encoder features of a content and a style photo together."""

import torch
import torch.nn.functional as F

from lookcast.checks import InputError
from lookcast.encoders.base import Encoder
from lookcast.encoders.compact import CompactEncoder
from lookcast.ops.clusters import joint_kmeans, nearest_center
from lookcast.ops.color import luma
from lookcast.ops.masks import NUM_LABELS
from lookcast.ops.regions import MIN_SHARE
from lookcast.ops.resize import resize_image
from lookcast.segmenters.base import MaskPair, Segmenter, check_pair
from lookcast.segmenters.borders import align_borders
from lookcast.segmenters.label_maps import label_map, one_hot_pair, shares, thumbnail

TAPS = ("relu2_1", "relu3_1", "relu4_1")
CHOICES = (2, 3, 4, 5)
THUMBNAIL = 256
"""Maximum side of the encoder's input, in pixels. A cell of the deepest layer then covers 1/32 of the longer side."""
HEIGHT_WEIGHT = 0.5
"""Weight of the vertical position in a descriptor. The top and the bottom of a photo are then as far apart as two unit
vectors at an angle of 60 degrees. The position separates sky from its reflection, although their features are similar.
"""
COMMON_SHARE = 0.02
"""Minimum share of the cells of each photo that every cluster must contain."""
LIGHTNESS_WEIGHT = 0.3
"""Weight of the lightness in a descriptor. The lightness is standardised within each photo. It helps to separate
a smooth dark object from a smooth bright ground, because their features are similar.
"""
MIN_GAIN = 0.06
"""Minimum share of the variance that each further cluster must explain. A pair with two regions then gets two clusters.
With .02, the look invents more detail at equal style; with .1, it is further from the style.
"""
_TEMPERATURE = 0.1  # divisor of squared distances in a softmax: neighbouring centres are about 0.5 apart


class ClusterSegmenter(Segmenter):
    """A segmenter that runs k-means on the encoder features of both photos together.

    The segmenter needs no download. Its regions have no class names.

    A cell is an element of the deepest feature map. Its descriptor holds the mean and the standard deviation of the
    features in the cell. Descriptors are standardised within each photo. Otherwise a day photo and a night photo would
    get one cluster each, because all their features differ. In tests with a photo and its recoloured copy,
    standardisation over both photos together, in full or by half, found fewer correspondences. k-means clusters the
    direction of the standardised descriptor and, with small weights, the lightness and the vertical position.

    A cluster that covers less than `MIN_SHARE` of the style is merged into the nearest cluster that both photos have.
    Otherwise its region in the content would get the look of the whole style photo. A cluster that only the style has
    is kept.

    Args:
        encoder: the encoder of the features, all of whose layers are used. None uses the shipped `CompactEncoder`.
        num_clusters: number of clusters, 1 to 9. None chooses the largest number from 2 to 5 that meets two conditions:
            every cluster has at least `COMMON_SHARE` of the cells of each photo, and each further cluster explains at
            least `MIN_GAIN` of the variance.

    Raises:
        InputError: `num_clusters` is out of range.
    """

    def __init__(self, encoder: Encoder | None = None, num_clusters: int | None = None) -> None:
        if num_clusters is not None and not 1 <= num_clusters <= NUM_LABELS:
            raise InputError(f"num_clusters: expected 1 to {NUM_LABELS}, got {num_clusters}")
        self.encoder = CompactEncoder(taps=TAPS) if encoder is None else encoder
        self.num_clusters = num_clusters

    def segment_pair(self, content: torch.Tensor, style: torch.Tensor) -> MaskPair:
        """See `Segmenter.segment_pair`. The labels are `region 1`, `region 2` and so on, largest cluster first."""
        check_pair(content, style)
        with torch.no_grad():
            cells = [self._describe(image) for image in (content, style.to(content.device))]
            points = [photo.flatten(2).transpose(1, 2) for photo in cells]
            centers = self._centers(*points)
            labels = [
                label_map(_soft_regions(image, photo, centers), image.shape[-2:])
                for image, photo in zip((content, style.to(content.device)), cells, strict=True)
            ]
        table = _merge_missing(labels[0], labels[1], centers)
        masks, kept = one_hot_pair(labels[0], labels[1], table)
        names = tuple(f"region {k + 1}" for k in range(len(kept)))
        return MaskPair(masks[0].to(content), masks[1].to(style), names)

    def _describe(self, image: torch.Tensor) -> torch.Tensor:
        """Return the standardised descriptors of all cells, their lightness and their height, `(1, C + 2, h, w)`."""
        deepest = max(self.encoder.strides.values())
        small = thumbnail(image, THUMBNAIL, min_side=16, multiple=deepest)
        features = self.encoder.to(image.device)(small)
        height, width = features[self.encoder.taps[-1]].shape[-2:]
        described = []
        for tap in self.encoder.taps:
            mean = F.adaptive_avg_pool2d(features[tap], (height, width))
            described.append(mean)
            if features[tap].shape != mean.shape:  # the standard deviation of a single value is 0
                square = F.adaptive_avg_pool2d(features[tap].square(), (height, width))
                described.append((square - mean.square()).clamp_min(0).sqrt())
        cells = torch.cat(described, 1)
        cells = _standardise(cells, 1e-2)
        cells = cells / cells.norm(dim=1, keepdim=True).clamp_min(1)
        light = LIGHTNESS_WEIGHT * _standardise(luma(resize_image(small, height, width)), 2e-2)
        down = HEIGHT_WEIGHT * torch.linspace(-1 + 1 / height, 1 - 1 / height, height).to(cells)
        return torch.cat([cells, light, down.view(1, 1, -1, 1).expand(1, 1, height, width)], 1)

    def _centers(self, content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return cluster centres `(1, K, C)` of the cells `(1, N, C)` and `(1, M, C)` of two photos."""
        max_clusters = content.shape[1] + style.shape[1]  # a photo of 16x16 pixels has only four cells
        if self.num_clusters is not None:
            return joint_kmeans(content, style, min(self.num_clusters, max_clusters))
        chosen = joint_kmeans(content, style, min(CHOICES[0], max_clusters))
        total = _unexplained(content, style, joint_kmeans(content, style, 1))
        for k in range(CHOICES[0] + 1, min(CHOICES[-1], max_clusters) + 1):
            centers = joint_kmeans(content, style, k)
            gain = _unexplained(content, style, chosen) - _unexplained(content, style, centers)
            held_shares = [shares(nearest_center(photo, centers), k).min() for photo in (content, style)]
            if min(held_shares) >= COMMON_SHARE and gain >= MIN_GAIN * (k - chosen.shape[1]) * total:
                chosen = centers
        return chosen


def _standardise(values: torch.Tensor, min_spread: float) -> torch.Tensor:
    """Return values `(1, C, h, w)` with mean 0 and standard deviation 1 in each channel.

    A standard deviation below `min_spread` counts as `min_spread`. Otherwise the rounding errors of a flat photo would
    get standard deviation 1 too.
    """
    spread = values.std((2, 3), correction=0, keepdim=True).clamp_min(min_spread)
    return (values - values.mean((2, 3), keepdim=True)) / spread


def _unexplained(content: torch.Tensor, style: torch.Tensor, centers: torch.Tensor) -> float:
    """Return the mean squared distance between a cell and its nearest centre, averaged over the two photos."""
    return sum(float(torch.cdist(photo, centers).amin(-1).square().mean()) for photo in (content, style)) / 2


def _soft_regions(image: torch.Tensor, cells: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Return, for each pixel, soft weights of the K centres, `(1, K, h, w)`; see `align_borders`."""
    distances = torch.cdist(cells.flatten(2).transpose(1, 2), centers).square()
    soft = (-distances / _TEMPERATURE).softmax(-1).transpose(1, 2).reshape(1, -1, *cells.shape[-2:])
    return align_borders(image, soft)


def _merge_missing(content: torch.Tensor, style: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Return a table `(K,)` with the new label for each old label.

    A label that the style lacks is replaced by the nearest label that both photos have. If the photos have no label in
    common, all labels become label 0.
    """
    count = centers.shape[1]
    of_content, of_style = shares(content, count), shares(style, count)
    common = ((of_content >= MIN_SHARE) & (of_style >= MIN_SHARE)).nonzero()[:, 0]
    if not len(common):
        return torch.zeros(count, dtype=torch.int64)
    table = torch.arange(count)
    nearest = common[torch.cdist(centers[0], centers[0])[:, common.to(centers.device)].argmin(1).cpu()]
    return torch.where((of_style < MIN_SHARE) & (of_content > 0), nearest, table)
