"""The network of `SceneSegmenter`: the body of EfficientNet-Lite0, and a small head that classifies places."""

import torch
from torch import nn

from lookcast.encoders.efficientnet import STAGES, EfficientNetLite
from lookcast.encoders.scenes import SCENES, enlarge, heights

READ = (2, 4, 6)
"""Numbers of the stages of the body that the head reads, at strides 8, 16 and 32."""


class SceneHead(nn.Module):
    """The classifier of places. It merges the features of the body from coarse to fine.

    Each place also sees the mean of the coarsest features over the whole photo, and its own vertical position.

    Args:
        channels: number of channels of its layers.
        dropout: share of the channels that training sets to 0.
    """

    def __init__(self, channels: int = 96, dropout: float = 0.2) -> None:
        super().__init__()
        fine, middle, coarse = (STAGES[stage][-1] for stage in READ)

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
        """Return the logits of the classes, `(B, 9, H / 8, W / 8)`, from the features of the body."""
        fine, middle, coarse = features
        photo = self.photo(coarse.mean((2, 3)))[..., None, None]
        x = enlarge(torch.relu(self.coarse(coarse) + photo), middle)
        places = torch.relu(self.middle(middle) + self.position(heights(middle)))
        x = torch.relu(self.merge_coarse(self.dropout(torch.cat([places, x], 1))))
        x = torch.cat([enlarge(x, fine), torch.relu(self.fine(fine))], 1)
        logits: torch.Tensor = self.classify(self.dropout(torch.relu(self.merge_fine(self.dropout(x)))))
        return logits


class SceneNetwork(nn.Module):
    """The whole network: `EfficientNetLite`, then `SceneHead`."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = EfficientNetLite(READ), SceneHead()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits `(B, 9, H / 8, W / 8)` for an image `(B, 3, H, W)`; see `EfficientNetLite.forward`."""
        logits: torch.Tensor = self.head(self.body(image))
        return logits
