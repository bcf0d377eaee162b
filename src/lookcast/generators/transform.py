"""Johnson's residual network: paints pixels, so that only the penalty keeps it photographic. The baseline."""

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.checks import check_image
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
    """Two strided convolutions, residual blocks, two upsamplings; adds to the content, starts as the identity.

    Differs from the paper: nearest-neighbour upsampling before a convolution instead of a transposed one (no
    checkerboard), reflection padding, instance normalisation (Ulyanov et al. 2016), and the output is a change of the
    content instead of a new image. Memory grows with the photo: about 1 KiB a pixel.

    Args:
        channels: width at full resolution; doubled by each of the two strided convolutions.
        blocks: residual blocks at a quarter of the resolution.

    Reference:
        Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer", ECCV 2016.
    """

    name = "transform"
    takes_style = False

    def __init__(self, channels: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.arguments = {"channels": channels, "blocks": blocks}
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
        height, width = content.shape[-2:]
        # Replication: reflection needs more pixels than it adds, which a photo of a few pixels does not have.
        pad = [max(16 - d, -d % STRIDE) for d in (width, height)]
        padded = F.pad(content, (0, pad[0], 0, pad[1]), mode="replicate")
        change = self.head(self.up(self.blocks(self.down(padded - 0.5))))
        return Stylization(content + change[..., :height, :width])


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    # No bias: the normalisation subtracts it again, so it would never learn anything.
    return (
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect", bias=False),
        nn.InstanceNorm2d(outputs, affine=True),
    )
