"""A universal generator whose style photo is fixed: a single look, ready to be trained further."""

from typing import Any

import torch
from torch import nn

from lookcast.generators.base import GridGenerator
from lookcast.generators.regions import CELLS, FINE, NUM_FEATURES, THUMBNAIL, PhotoStatistics
from lookcast.generators.universal import UniversalGenerator
from lookcast.ops.transport import NUM_MOMENTS


class FixedStyleGenerator(GridGenerator):
    """One look of a universal generator: the style's reading is part of the weights.

    Training it (`experiment=single_look init_from=universal`) specialises the whole network to that look.

    Args:
        encoder: the frozen compact encoder.
        universal: arguments of the `UniversalGenerator` inside.
    """

    name = "baked"
    needs_encoder = True
    thumbnail = THUMBNAIL

    places: torch.Tensor
    cells: torch.Tensor
    statistics: torch.Tensor
    moments: torch.Tensor
    shares: torch.Tensor

    def __init__(self, encoder: nn.Module, universal: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = {"universal": universal}
        self.universal = UniversalGenerator(encoder, **universal)
        # Read at 128 px, a look that was trained further lost .03 of edge SSIM and lay a sixth further from the style.
        self.universal.free_thumbnail = THUMBNAIL
        self.encoder = encoder
        depth = self.universal.depth
        self.register_buffer("places", torch.zeros(1, NUM_FEATURES, FINE, FINE))
        self.register_buffer("cells", torch.zeros(1, NUM_FEATURES, CELLS, CELLS))
        self.register_buffer("statistics", torch.zeros(1, CELLS * CELLS, 2 * NUM_FEATURES + depth))
        self.register_buffer("moments", torch.zeros(1, NUM_MOMENTS, FINE, FINE))
        self.register_buffer("shares", torch.zeros(1, depth, FINE, FINE))

    @classmethod
    def bake(cls, generator: UniversalGenerator, style: torch.Tensor) -> "FixedStyleGenerator":
        """Fix the style photo `(1, 3, H, W)`; the weights are copied."""
        baked = cls(generator.encoder, generator.arguments)
        baked.universal.load_state_dict(generator.state_dict())
        reading = baked.universal.read(style)
        for name in ("places", "cells", "statistics", "moments", "shares"):
            getattr(baked, name).copy_(getattr(reading, name))
        return baked

    def predict_grid(self, content: torch.Tensor) -> torch.Tensor:
        """See `GridGenerator.predict_grid`."""
        unseen = self.places.new_zeros(1, 3, 0, 0)  # only a content's thumbnail is looked at
        fixed = PhotoStatistics(unseen, self.places, self.cells, self.statistics, self.moments, self.shares, None)
        return self.universal.predict_grid(self.universal.read(content), fixed)
