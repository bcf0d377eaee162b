"""Semantic masks for pairs of photos, by a segmentation network or by clustering.

The models of torchvision and transformers are not imported with this package, but when a segmenter that needs them is
constructed.
"""

from pathlib import Path

from lookcast.checks import InputError
from lookcast.segmenters.base import MaskPair, Segmenter
from lookcast.segmenters.cluster_segmenter import ClusterSegmenter
from lookcast.segmenters.scene_segmenter import SceneSegmenter
from lookcast.segmenters.torchvision_segmenter import TorchvisionSegmenter
from lookcast.segmenters.transformers_segmenter import TransformersSegmenter

SEGMENTERS: dict[str, type[Segmenter]] = {
    "scenes": SceneSegmenter,
    "clusters": ClusterSegmenter,
    "torchvision": TorchvisionSegmenter,
    "transformers": TransformersSegmenter,
}
"""A table that maps the name of a segmenter, on the command line and in configs, to its class."""

__all__ = [
    "SEGMENTERS",
    "ClusterSegmenter",
    "MaskPair",
    "SceneSegmenter",
    "Segmenter",
    "TorchvisionSegmenter",
    "TransformersSegmenter",
    "open_segmenter",
]


def open_segmenter(name: str, weights: str | Path | None = None) -> Segmenter:
    """Construct the segmenter with a given name, with its default network.

    Args:
        name: a key of `SEGMENTERS`.
        weights: local weights of the network: a file for `scenes` and `torchvision`, or a folder for `transformers`.
            None uses the shipped weights of `scenes`, and the published weights of the others, which are downloaded on
            first use. `clusters` accepts only None.

    Raises:
        InputError: the name is unknown, `weights` is given for `clusters`, or the weights can't be read or downloaded.

    Example:
        >>> type(open_segmenter("clusters")).__name__
        'ClusterSegmenter'
    """
    if name not in SEGMENTERS:
        raise InputError(f"segmenter: expected one of {', '.join(SEGMENTERS)}, got {name!r}")
    if weights is None:
        return SEGMENTERS[name]()
    if name == "scenes":
        return SceneSegmenter(weights)
    if name == "torchvision":
        return TorchvisionSegmenter(weights=weights)
    if name == "transformers":
        return TransformersSegmenter(Path(weights))
    raise InputError(f"segmenter weights: the segmenter {name} takes no weights, got {weights}")
