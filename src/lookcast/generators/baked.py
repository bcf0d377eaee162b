"""A universal generator whose style photo is fixed: a single look, ready to be trained further."""

from typing import Any

import torch
from torch import nn

from lookcast.checks import check_image
from lookcast.generators.base import Generator
from lookcast.generators.regions import CELLS, FINE, NUM_FEATURES, Reading
from lookcast.generators.universal import UniversalGenerator
from lookcast.ops.transport import NUM_MOMENTS
from lookcast.structures import Stylization


class BakedGenerator(Generator):
    """One look of a universal generator: the style's reading is part of the weights.

    Training it (`experiment=single_look init_from=universal`) specialises the whole network to that look.

    Args:
        encoder: the frozen compact encoder.
        universal: arguments of the `UniversalGenerator` inside.
    """

    name = "baked"
    needs_encoder = True
    takes_style = False

    places: torch.Tensor
    cells: torch.Tensor
    statistics: torch.Tensor
    moments: torch.Tensor
    shares: torch.Tensor

    def __init__(self, encoder: nn.Module, universal: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = {"universal": universal}
        self.universal = UniversalGenerator(encoder, **universal)
        self.encoder = encoder
        depth = self.universal.depth
        self.register_buffer("places", torch.zeros(1, NUM_FEATURES, FINE, FINE))
        self.register_buffer("cells", torch.zeros(1, NUM_FEATURES, CELLS, CELLS))
        self.register_buffer("statistics", torch.zeros(1, CELLS * CELLS, 2 * NUM_FEATURES + depth))
        self.register_buffer("moments", torch.zeros(1, NUM_MOMENTS, FINE, FINE))
        self.register_buffer("shares", torch.zeros(1, depth, FINE, FINE))

    @classmethod
    def bake(cls, generator: UniversalGenerator, style: torch.Tensor) -> "BakedGenerator":
        """Fix the style photo `(1, 3, H, W)`; the weights are copied."""
        baked = cls(generator.encoder, generator.arguments)
        baked.universal.load_state_dict(generator.state_dict())
        reading = generator.read(style)
        for name in ("places", "cells", "statistics", "moments", "shares"):
            getattr(baked, name).copy_(getattr(reading, name))
        return baked

    def forward(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None = None,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
    ) -> Stylization:
        """See `Generator.forward`; a single look, so no style and no masks."""
        check_image("content", content)
        self.check_style(style, content_mask, style_mask)
        unseen = self.places.new_zeros(1, 3, 0, 0)  # only a content's thumbnail is looked at
        fixed = Reading(unseen, self.places, self.cells, self.statistics, self.moments, self.shares, None)
        return self.universal.render(content, self.universal.read(content), [(fixed, 1.0)])
