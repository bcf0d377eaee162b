"""What every segmenter gives."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch

from lookcast.checks import InputError, check_image, check_shape
from lookcast.segmenters.label_maps import label_map, merge_smallest, one_hot_pair, shares


class MaskPair(NamedTuple):
    """Corresponding regions of two photos.

    Attributes:
        content: one-hot `(1, K, H, W)`, in the dtype and on the device of the content.
        style: one-hot `(1, K, h, w)`, as the style.
        labels: K names, 1 to 9 of them, so that a mask can be painted in the nine colours and read again.
    """

    content: torch.Tensor
    style: torch.Tensor
    labels: tuple[str, ...]


class Segmenter(ABC):
    """Finds the regions of a content and a style photo that belong together."""

    @abstractmethod
    def segment_pair(self, content: torch.Tensor, style: torch.Tensor) -> MaskPair:
        """Masks of both photos with the same labels; the same photos give the same masks.

        Args:
            content: `(1, 3, H, W)` in [0, 1], of any size.
            style: `(1, 3, h, w)` in [0, 1], of any size.

        Raises:
            ShapeError: not one image each.
            InputError: not floating point, or without pixels.
        """


class ClassSegmenter(Segmenter):
    """A segmenter that knows classes by name and looks at each photo alone.

    Attributes:
        names: what the planes of `probabilities` stand for.
        rest: the one of `names` for what belongs to no class.
    """

    names: tuple[str, ...]
    rest: str

    @abstractmethod
    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """Probability of every name at every place.

        Args:
            image: `(1, 3, H, W)` in [0, 1], of any size.

        Returns:
            `(1, len(names), y, x)`, at the resolution of the network's output.
        """

    def segment_pair(self, content: torch.Tensor, style: torch.Tensor) -> MaskPair:
        """See `Segmenter.segment_pair`.

        A class that one photo alone has stays: the losses fall back to the whole style for it. Of more than nine
        classes in a pair the smallest, by their shares of both photos, become the rest, or the most common class
        where there is no rest: that distorts the statistics of the larger region least.
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
    """Refuse what is not one image each, or one without pixels.

    Raises:
        ShapeError: no image, or several.
        InputError: not floating point, or without pixels.
    """
    for name, image in (("content", content), ("style", style)):
        check_image(name, image)
        check_shape(name, image, (1, 3, "H", "W"))
        if not image.numel():
            raise InputError(f"{name}: has no pixels, its shape is {tuple(image.shape)}")
