"""A segmenter that recognises nine kinds of regions, such as sky, water and buildings, with a network that ships."""

from pathlib import Path

import torch

from lookcast.encoders.base import freeze
from lookcast.encoders.scenes import SCENES, STRIDE
from lookcast.ops.resize import resize_image
from lookcast.paths import shipped
from lookcast.segmenters.base import MaskPair, Segmenter, check_pair
from lookcast.segmenters.borders import align_borders
from lookcast.segmenters.label_maps import shares, thumbnail
from lookcast.segmenters.scene_network import SceneNetwork
from lookcast.weights import load_weights, read_header

THUMBNAIL = 320
"""Maximum side of the network's input, in pixels."""
COMMON_SHARE = 0.02
"""Minimum share of the style that a class must cover."""
SHARPNESS = 2.0
"""Factor of the logits. At 1, the looks of regions mix, and the colours are 5 % further from the style."""


class SceneSegmenter(Segmenter):
    """A segmenter that recognises `SCENES` in each photo, with a small network.

    Its masks are soft: a place that may be sky or water belongs to both. At equal style, the look is then closer to an
    affine change of the photo than with the most probable class alone.

    Only classes that the style has are used. The places of another class go to the most probable of these classes.
    Otherwise they would get the look of the whole style photo.

    Args:
        weights: a `.safetensors` file from `scripts/train_scenes.py`; None for the shipped file.

    Raises:
        CheckpointError: the file is missing or damaged, or does not contain this network.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        path = shipped("checkpoints") / "scenes.safetensors" if weights is None else Path(weights)
        read_header(path, kind="scenes")
        with torch.device("meta"):  # allocates nothing before the weights are checked
            network = SceneNetwork()
        load_weights(network, path)
        self.network = freeze(network).to(memory_format=torch.channels_last)

    def segment_pair(self, content: torch.Tensor, style: torch.Tensor) -> MaskPair:
        """See `Segmenter.segment_pair`. The masks are soft, and the labels are names of `SCENES`."""
        check_pair(content, style)
        style = style.to(content.device)
        with torch.no_grad():
            scenes = [self.logits(image) for image in (content, style)]
            found = shares(scenes[1].argmax(1), len(SCENES))
            kept = (found >= min(COMMON_SHARE, float(found.max()))).nonzero()[:, 0]
            masks = [
                _soft_mask(image, logits[:, kept.to(logits.device)])
                for image, logits in zip((content, style), scenes, strict=True)
            ]
        return MaskPair(masks[0].to(content), masks[1].to(style), tuple(SCENES[k] for k in kept))

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of `SCENES`, `(1, 9, h, w)`, with 40 places along the longer side of the photo."""
        small = thumbnail(image, THUMBNAIL, min_side=STRIDE, multiple=STRIDE)
        logits: torch.Tensor = self.network.to(image.device)(small.contiguous(memory_format=torch.channels_last))
        return logits


def _soft_mask(image: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return the mask `(1, K, H, W)` of a photo from the logits `(1, K, h, w)` of its labels."""
    soft = align_borders(image, (SHARPNESS * logits).softmax(1)).clamp(0, 1)
    soft = resize_image(soft, *image.shape[-2:]).clamp_(0, 1)  # in place: a large photo needs memory for K maps
    return soft.div_(soft.sum(1, keepdim=True).clamp_min(1e-6))
