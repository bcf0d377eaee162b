"""Masks for training pairs that have no masks, found by clustering."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field

from lookcast.checks import InputError
from lookcast.generators.statistics import CELLS, PLACES
from lookcast.ops.clusters import joint_kmeans, nearest_center
from lookcast.structures import Features


class PseudoMasks:
    """A callable that finds masks for content and style by joint k-means. A cluster has the same label in both photos.

    Features are standardised within each photo, so that the clusters of a night photo and a day photo follow the
    subjects and not the light. The number of regions and the weights of colour and position are drawn at random for
    each batch. The generator thereby learns to follow all kinds of masks, not only the masks of one method.

    Args:
        taps: names of the encoder layers whose features describe a cell.
        max_regions: maximum number of regions. The numbers 1 to `max_regions` are equally frequent.

    Raises:
        InputError: `max_regions` is below 1.
    """

    def __init__(
        self, taps: tuple[str, ...] = ("relu3_1", "relu4_1"), max_regions: Annotated[int, Field(ge=1)] = 6
    ) -> None:
        if max_regions < 1:
            raise InputError(f"max_regions: expected at least 1, got {max_regions}")
        self.taps, self.max_regions = tuple(taps), max_regions

    @torch.no_grad()
    def __call__(
        self,
        content: torch.Tensor,
        style: torch.Tensor,
        content_features: Features,
        style_features: Features,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mask of the content and the mask of the style, each one-hot `(B, K, 64, 64)`.

        Content and style are `(B, 3, H, W)`. All random numbers come from `generator`.
        """
        number = int(torch.randint(1, self.max_regions + 1, (), generator=generator))
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
        # The direction of a feature vector describes the subject, while its length is the distance from the mean.
        places = places / places.norm(dim=1, keepdim=True).clamp_min(1)
        small = F.interpolate(image.float(), size, mode="nearest")
        y = torch.linspace(-1, 1, PLACES, device=image.device).view(1, 1, -1, 1).expand(len(image), 1, *size)
        return torch.cat([places, color * _relative(small), place * y], 1)


def _relative(x: torch.Tensor) -> torch.Tensor:
    mean, spread = x.mean((-2, -1), keepdim=True), x.std((-2, -1), keepdim=True)
    return (x - mean) / (spread + 1e-2)


def _points(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)
