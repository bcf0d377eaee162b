"""Regions for pairs that nobody has segmented: photos to train on come without masks."""

import torch
import torch.nn.functional as F

from lookcast.checks import InputError
from lookcast.generators.statistics import CELLS, PLACES
from lookcast.ops.clusters import joint_kmeans, nearest_center
from lookcast.structures import Features


class PseudoMasks:
    """Joint k-means over the cells of content and style; the same cluster is the same label in both.

    Features are taken relative to their own photo, so that a night and a day split by what is in them, not by the
    hour. How many regions there are, and how much colour and place count, changes from batch to batch: the
    generator learns to obey masks, not one way of making them.

    Args:
        taps: of the encoder, whose features say what a place shows.
        most: largest number of regions; 1 to `most` are equally frequent.

    Raises:
        InputError: no region.
    """

    def __init__(self, taps: tuple[str, ...] = ("relu3_1", "relu4_1"), most: int = 6) -> None:
        if most < 1:
            raise InputError(f"most: expected at least 1 region, got {most}")
        self.taps, self.most = tuple(taps), most

    @torch.no_grad()
    def __call__(
        self,
        content: torch.Tensor,
        style: torch.Tensor,
        content_features: Features,
        style_features: Features,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks `(B, K, 64, 64)` of content and style `(B, 3, H, W)`; draws come from the generator."""
        number = int(torch.randint(1, self.most + 1, (), generator=generator))
        color, place = (torch.rand(2, generator=generator) * torch.tensor([0.4, 0.7])).tolist()
        photos = [
            self._describe(image, features, color, place)
            for image, features in ((content, content_features), (style, style_features))
        ]
        content_cells, style_cells = (_points(F.adaptive_avg_pool2d(photo, CELLS)) for photo in photos)
        centers = joint_kmeans(content_cells, style_cells, number, 6, 1, generator)
        labels = [nearest_center(_points(photo), centers) for photo in photos]
        one_hot = [F.one_hot(label, number).transpose(1, 2).float() for label in labels]
        content_mask, style_mask = (mask.reshape(len(mask), number, PLACES, PLACES) for mask in one_hot)
        return content_mask, style_mask

    def _describe(self, image: torch.Tensor, features: Features, color: float, place: float) -> torch.Tensor:
        size = (PLACES, PLACES)
        taps = [F.interpolate(features[tap].float(), size, mode="bilinear", antialias=True) for tap in self.taps]
        places = _relative(torch.cat(taps, 1))
        # The direction says what is there; the length only how far it is from the photo's mean.
        places = places / places.norm(dim=1, keepdim=True).clamp_min(1)
        small = F.interpolate(image.float(), size, mode="nearest")
        y = torch.linspace(-1, 1, PLACES, device=image.device).view(1, 1, -1, 1).expand(len(image), 1, *size)
        return torch.cat([places, color * _relative(small), place * y], 1)


def _relative(x: torch.Tensor) -> torch.Tensor:
    mean, spread = x.mean((-2, -1), keepdim=True), x.std((-2, -1), keepdim=True)
    return (x - mean) / (spread + 1e-2)


def _points(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)
