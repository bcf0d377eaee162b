"""Semantic masks for pairs of photos without masks: found by clustering or by a segmentation network.

Importing this package imports neither torchvision's nor transformers' models; building a segmenter does.
"""

from pathlib import Path

from lookcast.checks import InputError
from lookcast.segmenters.base import MaskPair, Segmenter
from lookcast.segmenters.cluster_segmenter import ClusterSegmenter
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
    "open_segmenter",
]


def open_segmenter(name: str, weights: str | Path | None = None) -> Segmenter:
    """Build the segmenter of a name, with its default network.

    Args:
        name: a key of `SEGMENTERS`.
        weights: local weights of the default network: a file for `torchvision`, a folder for `transformers`. None uses
            the network's own weights, downloaded on first use. `clusters` has none.

    Raises:
        InputError: an unknown name, weights for `clusters`, or weights that can't be read or downloaded.

    Example:
        >>> type(open_segmenter("clusters")).__name__
        'ClusterSegmenter'
    """
    if name not in SEGMENTERS:
        raise InputError(f"segmenter: expected one of {', '.join(SEGMENTERS)}, got {name!r}")
    if weights is None:
        return SEGMENTERS[name]()
    if name == "torchvision":
        return TorchvisionSegmenter(weights=weights)
    if name == "transformers":
        return TransformersSegmenter(Path(weights))
    raise InputError(f"segmenter weights: {name} has none to replace, got {weights}")
