"""A generator with a fixed style that predicts a bilateral grid from a thumbnail."""

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.checks import InputError, check_integer
from lookcast.generators.base import GridGenerator
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid
from lookcast.ops.resize import thumbnail_of

LIMITS = {"depth": (1, 64), "height": (1, 128), "width": (1, 128)} | {
    "channels": (1, 1024), "blocks": (0, 64), "thumbnail": (1, 2048),
}  # fmt: skip
"""Range of each argument. The ranges keep a checkpoint from allocating more memory than a machine has."""


class ResidualBlock(nn.Module):
    """Residual block of two 3x3 convolutions; the untrained block is the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(B, C, h, w)` to the same shape."""
        out: torch.Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return out


class BilateralGenerator(GridGenerator):
    """Generator with a fixed style that predicts a bilateral grid from a thumbnail.

    Slicing takes the luma of the photo at full resolution as its guide. The network sees only a square thumbnail, so
    the cost of the network does not depend on the size of the photo. Every output colour is an affine transform of the
    pixel's own colour, so the generator can't invent texture. The untrained generator is the identity.

    Args:
        depth, height, width: D, GH and GW of the grid. GH and GW work best as the thumbnail's side divided by a power
            of two, because each strided convolution halves the side.
        channels: maximum number of channels. The first convolution has 16 channels, and every further convolution
            doubles the number up to this maximum.
        blocks: number of residual blocks, at the resolution of the grid.
        thumbnail: side of the thumbnail in pixels.

    Raises:
        InputError: an argument is outside its range (`LIMITS`), or the grid is finer than the thumbnail.

    Reference:
        Gharbi et al., "Deep Bilateral Learning for Real-Time Image Enhancement", SIGGRAPH 2017 (the layers).
    """

    name = "bilateral"

    def __init__(
        self,
        depth: int = 8,
        height: int = 16,
        width: int = 16,
        channels: int = 64,
        blocks: int = 3,
        thumbnail: int = 256,
    ) -> None:
        super().__init__()
        self.arguments = {
            "depth": depth,
            "height": height,
            "width": width,
            "channels": channels,
            "blocks": blocks,
            "thumbnail": thumbnail,
        }
        for name, value in self.arguments.items():
            check_integer(name, value, *LIMITS[name])
        if thumbnail < max(height, width):
            raise InputError(f"thumbnail: expected at least the grid's {max(height, width)} cells, got {thumbnail} px")
        self.depth, self.height, self.width, self.thumbnail = depth, height, width, thumbnail
        stem: list[nn.Module] = []
        size, inputs = thumbnail, 3
        while size >= 2 * max(height, width):
            outputs = min(channels, 16 if inputs == 3 else 2 * inputs)
            stem += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
            size, inputs = size // 2, outputs
        self.stem = nn.Sequential(*stem)
        self.blocks = nn.Sequential(*(ResidualBlock(inputs) for _ in range(blocks)))
        self.overall = nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, inputs))
        self.head = nn.Conv2d(inputs, COEFFICIENTS * depth, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def predict_grid(self, content: torch.Tensor) -> torch.Tensor:
        """Predict the grid; see `GridGenerator.predict_grid`."""
        x = thumbnail_of(content, self.thumbnail)
        x = self.stem((x - 0.45) / 0.25)  # rough mean and standard deviation of the values of photos
        x = self.blocks(F.adaptive_avg_pool2d(x, (self.height, self.width)))
        x = x + self.overall(x.mean((-2, -1)))[..., None, None]
        change: torch.Tensor = self.head(F.relu(x)).unflatten(1, (COEFFICIENTS, self.depth))
        return change + identity_grid(1, self.depth, self.height, self.width, change.device, change.dtype)
