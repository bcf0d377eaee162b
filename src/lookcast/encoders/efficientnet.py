"""EfficientNet-Lite0 without its classifier. Its features tell scenes apart."""

import torch
import torch.nn.functional as F
from torch import nn

STAGES = ((1, 3, 1, 1, 16), (6, 3, 2, 2, 24), (6, 5, 2, 2, 40), (6, 3, 3, 2, 80), (6, 5, 3, 1, 112), (6, 5, 4, 2, 192),
          (6, 3, 1, 1, 320))  # fmt: skip
"""For each stage of the body: expansion, side of the kernels, number of blocks, stride, number of output channels."""
_STEM = 32


class Convolution(nn.Module):
    """A convolution with a bias, then a rectifier with maximum 6 if `rectify` is True.

    For an even input, the padding of a stride of 2 is one pixel more at the right and at the bottom, as in TensorFlow,
    where the body was trained.
    """

    def __init__(
        self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1, rectify: bool = True
    ) -> None:
        super().__init__()
        same = side // 2 if stride == 1 else 0  # a convolution pads in less time than `F.pad`, but only evenly
        self.convolution = nn.Conv2d(inputs, outputs, side, stride, padding=same, groups=groups)
        self.padding = ((side - stride) // 2, side // 2) * 2 if stride > 1 else None
        self.rectify = rectify

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(B, outputs, H / stride, W / stride)`."""
        x = self.convolution(x if self.padding is None else F.pad(x, self.padding))
        return F.relu6(x, inplace=True) if self.rectify else x


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


class EfficientNetLite(nn.Module):
    """The body of EfficientNet-Lite0. The normalisation of each layer is a part of its convolution.

    Args:
        read: numbers of the stages whose output is returned, in ascending order. Later stages are left out.

    Reference:
        Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019; "lite" leaves
        out squeeze-and-excitation and replaces swish by a rectifier.
    """

    def __init__(self, read: tuple[int, ...]) -> None:
        super().__init__()
        self.read = read
        self.stem = Convolution(3, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for expansion, side, number, stride, outputs in STAGES[: read[-1] + 1]:
            blocks = [InvertedResidual(inputs, outputs, expansion, side, stride)]
            blocks += [InvertedResidual(outputs, outputs, expansion, side, 1) for _ in range(number - 1)]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of the stages in `read`.

        The image is `(B, 3, H, W)` in [0, 1]; H and W are multiples of the stride of the last stage.
        """
        x = self.stem((image * 255 - 127) / 128)
        found = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self.read:
                found.append(x)
        return found
