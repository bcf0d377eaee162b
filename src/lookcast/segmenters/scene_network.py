"""The network of `SceneSegmenter`: the body of EfficientNet-Lite0, and a small head that classifies places."""

import torch
import torch.nn.functional as F
from torch import nn

SCENES = ("sky", "water", "plants", "mountain", "ground", "building", "wall", "person", "thing")
"""Names of the classes. `wall` is an indoor wall or a plain background; `thing` is everything that has no other class,
such as an animal, a vehicle or furniture."""
STRIDE = 32
"""Both sides of an image must be multiples of this number of pixels."""
STAGES = ((1, 3, 1, 1, 16), (6, 3, 2, 2, 24), (6, 5, 2, 2, 40), (6, 3, 3, 2, 80), (6, 5, 3, 1, 112), (6, 5, 4, 2, 192),
          (6, 3, 1, 1, 320))  # fmt: skip
"""For each stage of the body: expansion, side of the kernels, number of blocks, stride, number of output channels."""
_STEM = 32
_READ = (2, 4, 6)  # the head reads these stages, at strides 8, 16 and 32


class Convolution(nn.Module):
    """A convolution with a bias, then a rectifier with maximum 6 if `rectify` is True.

    For an even input, the padding of a stride of 2 is one pixel more at the right and at the bottom, as in TensorFlow,
    where the body was trained.
    """

    def __init__(
        self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1, rectify: bool = True
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, side, stride, groups=groups)
        self.padding = ((side - stride) // 2, side // 2) * 2
        self.rectify = rectify

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(B, outputs, H / stride, W / stride)`."""
        x = self.convolution(F.pad(x, self.padding) if any(self.padding) else x)
        return F.relu6(x) if self.rectify else x


class InvertedResidual(nn.Module):
    """A block that expands the channels, filters each of them, and projects them back.

    Reference:
        Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, side: int, stride: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = Convolution(inputs, width) if expansion > 1 else nn.Identity()
        self.filter = Convolution(width, width, side, stride, groups=width)
        self.project = Convolution(width, outputs, rectify=False)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(B, outputs, H / stride, W / stride)`."""
        projected: torch.Tensor = self.project(self.filter(self.expand(x)))
        return x + projected if self.adds else projected


class SceneBody(nn.Module):
    """EfficientNet-Lite0 without its classifier. The normalisation of each layer is a part of its convolution.

    Reference:
        Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019; "lite" leaves
        out squeeze-and-excitation and replaces swish by a rectifier.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for expansion, side, number, stride, outputs in STAGES:
            blocks = [InvertedResidual(inputs, outputs, expansion, side, stride)]
            blocks += [InvertedResidual(outputs, outputs, expansion, side, 1) for _ in range(number - 1)]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return features with 40, 112 and 320 channels, at strides 8, 16 and 32.

        The image is `(B, 3, H, W)` in [0, 1]; H and W are multiples of `STRIDE`.
        """
        x = self.stem((image * 255 - 127) / 128)
        found = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _READ:
                found.append(x)
        return found


class SceneHead(nn.Module):
    """The classifier of places. It merges the features of the body from coarse to fine.

    Each place also sees the mean of the coarsest features over the whole photo, and its own vertical position.

    Args:
        channels: number of channels of its layers.
        dropout: share of the channels that training sets to 0.
    """

    def __init__(self, channels: int = 96, dropout: float = 0.2) -> None:
        super().__init__()
        fine, middle, coarse = (STAGES[stage][-1] for stage in _READ)

        def layer(inputs: int, outputs: int, side: int = 1) -> nn.Sequential:
            convolution = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(outputs))

        self.fine, self.middle = layer(fine, channels // 2), layer(middle, channels)
        self.coarse, self.photo = layer(coarse, channels), nn.Linear(coarse, channels)
        self.position = nn.Conv2d(1, channels, 1)
        self.merge_coarse = layer(2 * channels, channels, 3)
        self.merge_fine = layer(channels + channels // 2, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, len(SCENES), 1)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Return the logits of the classes, `(B, 9, H / 8, W / 8)`, from the features of `SceneBody`."""
        fine, middle, coarse = features
        rows = middle.shape[-2]
        down = torch.linspace(-1 + 1 / rows, 1 - 1 / rows, rows, device=middle.device).view(1, 1, -1, 1)
        photo = self.photo(coarse.mean((2, 3)))[..., None, None]
        x = _enlarge(torch.relu(self.coarse(coarse) + photo), middle)
        places = torch.relu(self.middle(middle) + self.position(down.to(middle)))
        x = torch.relu(self.merge_coarse(self.dropout(torch.cat([places, x], 1))))
        x = torch.cat([_enlarge(x, fine), torch.relu(self.fine(fine))], 1)
        logits: torch.Tensor = self.classify(self.dropout(torch.relu(self.merge_fine(self.dropout(x)))))
        return logits


class SceneNetwork(nn.Module):
    """The whole network: `SceneBody`, then `SceneHead`."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = SceneBody(), SceneHead()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits `(B, 9, H / 8, W / 8)` for an image `(B, 3, H, W)`; see `SceneBody.forward`."""
        logits: torch.Tensor = self.head(self.body(image))
        return logits


def _enlarge(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
