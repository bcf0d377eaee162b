"""Semantic masks for a pair of photos that came without: by clustering, or by a segmentation network.

No module here imports torchvision's or transformers' models before a segmenter that needs them is built.
"""

from lookcast.segmenters.base import MaskPair, Segmenter
from lookcast.segmenters.clusters import ClusterSegmenter
from lookcast.segmenters.torchvision_segmenter import TorchvisionSegmenter
from lookcast.segmenters.transformers_segmenter import TransformersSegmenter

SEGMENTERS: dict[str, type[Segmenter]] = {
    "clusters": ClusterSegmenter,
    "torchvision": TorchvisionSegmenter,
    "transformers": TransformersSegmenter,
}
"""Segmenters by the name that a command line or a config gives."""

__all__ = [
    "SEGMENTERS",
    "ClusterSegmenter",
    "MaskPair",
    "Segmenter",
    "TorchvisionSegmenter",
    "TransformersSegmenter",
]
