"""The residual network of Johnson et al., a baseline. Only the photorealism penalty keeps its output photorealistic."""

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.checks import check_integer
from lookcast.generators.base import Generator
from lookcast.structures import Stylization

STRIDE = 4


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, channels, 3), nn.ReLU(), *_convolution(channels, channels, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.layers(x)
        return out


class TransformGenerator(Generator):
    """Generator with a residual network that predicts a change of the content and adds the change to the content.

    The network consists of two strided convolutions, residual blocks, and two upsampling layers. The untrained
    generator is the identity. The network needs about 1 KiB of memory per pixel of the photo. It differs from the
    network of the paper:

    * Nearest-neighbour upsampling and a convolution replace the transposed convolution, which makes checkerboards.
    * Convolutions pad by reflection.
    * Instance normalisation replaces batch normalisation (Ulyanov et al. 2016).
    * The output is a change of the content, not a new image.

    Args:
        channels: number of channels at full resolution; each of the two strided convolutions doubles this number.
        blocks: number of residual blocks, at a quarter of the resolution.

    Reference:
        Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer", ECCV 2016.
    """

    name = "transform"
    takes_style = False

    def __init__(self, channels: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.arguments = {"channels": channels, "blocks": blocks}
        check_integer("channels", channels, 1, 512)
        check_integer("blocks", blocks, 0, 64)
        c1, c2, c4 = channels, 2 * channels, 4 * channels
        self.down = nn.Sequential(
            *_convolution(3, c1, 9), nn.ReLU(),
            *_convolution(c1, c2, 3, stride=2), nn.ReLU(),
            *_convolution(c2, c4, 3, stride=2), nn.ReLU(),
        )  # fmt: skip
        self.blocks = nn.Sequential(*(_Block(c4) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"), *_convolution(c4, c2, 3), nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"), *_convolution(c2, c1, 3), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Conv2d(c1, 3, 9, padding=4, padding_mode="reflect")
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def stylize(
        self,
        content: torch.Tensor,
        style: torch.Tensor | None,
        content_mask: torch.Tensor | None,
        style_mask: torch.Tensor | None,
    ) -> Stylization:
        """Add the predicted change to the content."""
        height, width = content.shape[-2:]
        # Replication padding, because reflection padding would fail for a photo of only a few pixels.
        pad = [max(16 - d, -d % STRIDE) for d in (width, height)]
        padded = F.pad(content, (0, pad[0], 0, pad[1]), mode="replicate")
        change = self.head(self.up(self.blocks(self.down(padded - 0.5))))
        return Stylization(content + change[..., :height, :width])


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    # No bias, because the normalisation would subtract the bias.
    return (
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect", bias=False),
        nn.InstanceNorm2d(outputs, affine=True),
    )
