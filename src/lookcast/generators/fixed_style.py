"""A universal generator whose style photo is fixed, so that further training can specialise it to this style."""

from typing import Any

import torch
from torch import nn

from lookcast.encoders.scenes import SCENES
from lookcast.generators.base import GridGenerator
from lookcast.generators.statistics import CELLS, NUM_FEATURES, PLACES, PhotoStatistics
from lookcast.generators.universal import UniversalGenerator
from lookcast.ops.transport import NUM_MOMENTS

_STORED = ("places", "cells", "statistics", "moments", "shares", "tones", "classes")


class FixedStyleGenerator(GridGenerator):
    """A universal generator with a fixed style photo.

    The state dict contains the statistics of the style photo, but not the photo. Further training
    (`experiment=single_look init_from=universal_free`) specialises the whole network to this style.

    Args:
        encoder: the frozen compact encoder.
        universal: constructor arguments of the inner `UniversalGenerator`.

    Raises:
        InputError: `UniversalGenerator` refuses an argument.
    """

    name = "baked"  # the name in checkpoints since format version 1
    needs_encoder = True
    thumbnail = UniversalGenerator.thumbnail

    places: torch.Tensor
    cells: torch.Tensor
    statistics: torch.Tensor
    moments: torch.Tensor
    shares: torch.Tensor
    tones: torch.Tensor | None
    classes: torch.Tensor | None

    def __init__(self, encoder: nn.Module, universal: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = {"universal": universal}
        self.universal = UniversalGenerator(encoder, **universal)
        # With thumbnails of 128 px, further training lost .03 of edge SSIM and raised the style distance by a sixth.
        self.universal.unmasked_thumbnail = self.thumbnail
        self.encoder = encoder
        depth = self.universal.depth
        self.register_buffer("places", torch.zeros(1, NUM_FEATURES, PLACES, PLACES))
        self.register_buffer("cells", torch.zeros(1, NUM_FEATURES, CELLS, CELLS))
        self.register_buffer("statistics", torch.zeros(1, CELLS * CELLS, 2 * NUM_FEATURES + depth))
        self.register_buffer("moments", torch.zeros(1, NUM_MOMENTS, PLACES, PLACES))
        self.register_buffer("shares", torch.zeros(1, depth, PLACES, PLACES))
        steps = self.universal.tone_steps
        self.register_buffer("tones", torch.zeros(1, steps, 4, PLACES, PLACES) if steps else None)
        # A trained head predicts the classes anew, because further training changes it.
        found = torch.zeros(1, len(SCENES), PLACES, PLACES) if universal.get("scenes") else None
        self.register_buffer("classes", found)

    @classmethod
    def from_universal(cls, generator: UniversalGenerator, style: torch.Tensor) -> "FixedStyleGenerator":
        """Return a copy of a universal generator with the fixed style photo `(1, 3, H, W)`."""
        with torch.device(generator.floor.device):
            fixed = cls(generator.encoder, generator.arguments).to(generator.floor)
        fixed.universal.load_state_dict(generator.state_dict())
        statistics = fixed.universal.read(style)
        for name in _STORED:
            if (stored := getattr(fixed, name)) is not None:
                stored.copy_(getattr(statistics, name))
        return fixed

    def predict_grid(self, content: torch.Tensor) -> torch.Tensor:
        """Predict the grid; see `GridGenerator.predict_grid`."""
        return self.universal.predict_grid(self.universal.read(content), self.style())

    def style(self) -> PhotoStatistics:
        """Return the stored statistics of the style photo. Their thumbnail is empty, because it is not stored."""
        unused = self.places.new_zeros(1, 3, 0, 0)  # the generator never reads the thumbnail of the style
        return PhotoStatistics(thumbnail=unused, mask=None, **{name: getattr(self, name) for name in _STORED})
