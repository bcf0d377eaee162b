"""The frozen network that tells a universal look which places of a photo show a sky, a building or a person."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.encoders.base import freeze
from lookcast.encoders.efficientnet import STAGES, EfficientNetLite
from lookcast.paths import shipped
from lookcast.weights import load_into, read_weights

SCENES = ("sky", "water", "plants", "mountain", "ground", "building", "wall", "person", "thing")
"""Names of the classes. `wall` is an indoor wall or a plain background; `thing` is everything that has no other class,
such as an animal, a vehicle or furniture."""
STRIDE = 32
"""Both sides of an image must be multiples of this number of pixels."""
READ = (1, 2, 4, 6)
"""Numbers of the stages of the body that the head reads, at strides 4, 8, 16 and 32."""


class ThumbnailHead(nn.Module):
    """A classifier of the places of a thumbnail. It merges the features of the body from coarse to fine.

    Each place also sees the mean of the coarsest features over the whole photo, and its own vertical position.

    Args:
        channels: number of channels of its layers.
        dropout: share of the channels that training sets to 0.
    """

    def __init__(self, channels: int = 96, dropout: float = 0.25) -> None:
        super().__init__()
        finest, fine, middle, coarse = (STAGES[stage][-1] for stage in READ)
        self.coarse, self.photo = nn.Conv2d(coarse, channels, 1), nn.Linear(coarse, channels)
        self.middle, self.position = nn.Conv2d(middle, channels, 1), nn.Conv2d(1, channels, 1)
        self.merge_middle = nn.Conv2d(channels, channels, 3, padding=1)
        self.fine = nn.Conv2d(fine, channels, 1)
        self.merge_fine = nn.Conv2d(channels, channels, 3, padding=1)
        self.classify, self.classify_finest = nn.Conv2d(channels, len(SCENES), 1), nn.Conv2d(finest, len(SCENES), 1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Return the logits of the classes, `(B, 9, H / 4, W / 4)`, from the features of `READ`."""
        finest, fine, middle, coarse = features
        photo = self.photo(coarse.mean((2, 3)))[..., None, None] + self.position(heights(middle))
        x = enlarge(self.coarse(self.dropout(coarse)), middle) + self.middle(self.dropout(middle)) + photo
        x = self.dropout(torch.relu(x))
        x = x + torch.relu(self.merge_middle(x))
        x = self.dropout(torch.relu(enlarge(x, fine) + self.fine(fine)))
        x = x + torch.relu(self.merge_fine(x))
        logits: torch.Tensor = self.classify_finest(finest)
        return logits + enlarge(self.classify(self.dropout(x)), finest)


class SceneClasses(nn.Module):
    """The frozen network that finds `SCENES` in a thumbnail of 128 px, for photos without a mask.

    It has the body of the network of `--auto-masks scenes`, from the same file, and a head of its own.

    Args:
        weights: a `.safetensors` file with the head, from `scripts/distill_scenes.py`; None for the shipped file.

    Raises:
        CheckpointError: a file is missing or damaged, or does not contain this network.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        path = shipped("checkpoints") / "scene_classes.safetensors" if weights is None else Path(weights)
        of_head, _ = read_weights(path, kind="scene classes")
        with torch.device("meta"):  # allocates nothing before the weights are checked
            body, head = EfficientNetLite(READ), ThumbnailHead()
        load_into(head, of_head, path)
        load_body(body)
        self.body, self.head = (freeze(part).to(memory_format=torch.channels_last) for part in (body, head))

    def train(self, mode: bool = True) -> "SceneClasses":
        """Stay in evaluation mode, because the network is frozen."""
        return super().train(False)

    def forward(self, thumbnail: torch.Tensor, side: int) -> torch.Tensor:
        """Return the probabilities of the classes.

        Args:
            thumbnail: `(B, 3, H, W)` in [0, 1]; H and W are multiples of `STRIDE`. The network was trained at 128 px.
            side: number of places along each axis.

        Returns:
            `(B, 9, side, side)`, which sum to 1 over the classes.
        """
        logits = self.head(self.body(thumbnail.contiguous(memory_format=torch.channels_last)))
        return F.interpolate(logits, (side, side), mode="bilinear").softmax(1)


def load_body(body: EfficientNetLite) -> None:
    """Load the shipped weights of the body, which are a part of the network of `--auto-masks scenes`.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = shipped("checkpoints") / "scenes.safetensors"
    tensors, _ = read_weights(path, kind="scenes")
    found = {name.removeprefix("body."): tensor for name, tensor in tensors.items() if name.startswith("body.")}
    load_into(body, found, path)


def heights(features: torch.Tensor) -> torch.Tensor:
    """Return the height of each row of features `(B, C, H, W)`, from -1 at the top to 1, `(1, 1, H, 1)`."""
    rows = features.shape[-2]
    down = torch.linspace(-1 + 1 / rows, 1 - 1 / rows, rows, device=features.device)
    return down.view(1, 1, -1, 1).to(features)


def enlarge(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Enlarge a feature map to the size of another one."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
