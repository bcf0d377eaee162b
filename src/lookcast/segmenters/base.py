"""The interface of all segmenters."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch

from lookcast.checks import check_image, check_shape
from lookcast.segmenters.label_maps import label_map, merge_smallest, one_hot_pair, shares


class MaskPair(NamedTuple):
    """Masks of a content and a style photo, with the same labels.

    Attributes:
        content: `(1, K, H, W)` in [0, 1], in the dtype and on the device of the content. It sums to 1 over K.
        style: `(1, K, h, w)`, in the dtype and on the device of the style.
        labels: names of the K labels. K is 1 to 9, because mask files have nine colours.
    """

    content: torch.Tensor
    style: torch.Tensor
    labels: tuple[str, ...]


class Segmenter(ABC):
    """An object that finds corresponding regions in a content photo and a style photo."""

    @abstractmethod
    def segment_pair(self, content: torch.Tensor, style: torch.Tensor) -> MaskPair:
        """Return a mask of each photo. The two masks have the same labels. The result is deterministic.

        Args:
            content: `(1, 3, H, W)` in [0, 1], of any size.
            style: `(1, 3, h, w)` in [0, 1], of any size.

        Raises:
            ShapeError: content or style is not one image.
            InputError: content or style is not floating point or has no pixels.
        """


class ClassSegmenter(Segmenter):
    """A segmenter that finds named classes in each photo separately.

    Attributes:
        names: names of the classes, in the order of the channels of `probabilities`.
        rest: the class of the pixels that belong to no other class, such as the background; one of `names`.
    """

    names: tuple[str, ...]
    rest: str

    @abstractmethod
    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """Return the probability of every class, at the resolution of the network's output.

        Args:
            image: `(1, 3, H, W)` in [0, 1], of any size.

        Returns:
            `(1, len(names), h, w)` in [0, 1].
        """

    def segment_pair(self, content: torch.Tensor, style: torch.Tensor) -> MaskPair:
        """See `Segmenter.segment_pair`.

        A class that only one photo has is kept. The losses compare a region that the style lacks with the whole style.
        The masks are one-hot. If a pair has more than nine classes, the smallest classes (by the sum of their shares in
        both photos) are merged into the class `rest`. If no pixel has the class `rest`, the smallest classes are merged
        into the most common class, because a merge changes the statistics of a large region least.
        """
        check_pair(content, style)
        with torch.no_grad():
            labels = [label_map(self.probabilities(image), image.shape[-2:]) for image in (content, style)]
        total = shares(labels[0], len(self.names)) + shares(labels[1], len(self.names))
        table = merge_smallest(total, self.names.index(self.rest))
        masks, kept = one_hot_pair(labels[0], labels[1], table)
        names = tuple(self.names[k] for k in kept)
        return MaskPair(masks[0].to(content), masks[1].to(style), names)


def check_pair(content: torch.Tensor, style: torch.Tensor) -> None:
    """Check that content and style each consist of one image with at least one pixel.

    Raises:
        ShapeError: content or style is not one image.
        InputError: content or style is not floating point or has no pixels.
    """
    for name, image in (("content", content), ("style", style)):
        check_image(name, image)
        check_shape(name, image, (1, 3, "H", "W"))
