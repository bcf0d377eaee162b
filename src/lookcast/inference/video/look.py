"""The look of a clip: the network that predicts a grid from a thumbnail, with the masks of the frames."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from lookcast.checks import InputError
from lookcast.generators import GridGenerator, PairGenerator
from lookcast.inference.devices import usual_torch
from lookcast.inference.grids import blend_grid, predict_grid
from lookcast.inference.masks import place_masks
from lookcast.inference.stylizer import Stylizer
from lookcast.inference.video.frames import ClipError, Frame
from lookcast.ops.masks import check_aspect
from lookcast.photos.folder import list_photos
from lookcast.photos.masks import read_mask

_NOTED = 1024
"""Number of frames that may be read before the grid of the first of them is predicted."""


class ClipLook:
    """The look of a clip, called with the thumbnail `(1, 3, S, S)` of a frame to get its grid `(1, 12, D, GH, GW)`.

    With a mask for each frame, the argument must be the thumbnail of a frame that `note` has got lately, not a copy.

    Args:
        stylizer: the stylizer, with its style set.
        strength: see `Stylizer.stylize`.
        masks: mask file of all frames, or a folder with one mask for each frame, in the order of their names.

    Raises:
        InputError: the checkpoint predicts no grid or has no style, or the folder can't be read.
    """

    def __init__(self, stylizer: Stylizer, strength: float = 1.0, masks: Path | None = None) -> None:
        generator = stylizer.generator
        if not isinstance(generator, GridGenerator | PairGenerator):
            raise InputError(f"checkpoint: the {generator.name} generator makes no grid, and clips need a grid")
        generator.check_style(stylizer.styles or None, masks, masks)
        self._generator, self._stylizer, self._strength = generator, stylizer, strength
        self.side = generator.thumbnail
        self._of_all = masks if masks is not None and not masks.is_dir() else None
        self._of_each = None if masks is None or self._of_all is not None else list_photos(masks)
        self._kept: torch.Tensor | None = None
        self._numbers: dict[int, int] = {}
        self._size = (1, 1)

    def note(self, frame: Frame, size: tuple[int, int]) -> None:
        """Remember the number of a frame, because its mask may be needed. Only the last `_NOTED` frames are remembered.

        Args:
            frame: the frame.
            size: height and width of the upright frame, for the check of the mask.
        """
        self._size = size
        if self._of_each is not None:
            self._numbers.pop(id(frame.thumbnail), None)  # a new entry is the last in the order of the dict
            self._numbers[id(frame.thumbnail)] = frame.number
            if len(self._numbers) > _NOTED:
                del self._numbers[next(iter(self._numbers))]

    def __call__(self, thumbnail: torch.Tensor) -> torch.Tensor:
        """Predict a grid, float32 on the device of the stylizer.

        Raises:
            InputError: a mask can't be read or does not fit the frame.
        """
        styles = self._stylizer.styles
        mask = self._mask(thumbnail)
        with torch.inference_mode(), usual_torch():
            pixels = thumbnail.permute(0, 2, 3, 1)
            side = self._generator.mask_side if isinstance(self._generator, PairGenerator) else 0
            masks = (
                [None] * len(styles) if mask is None else place_masks(mask, styles, pixels, self._stylizer.device, side)
            )
            placed = thumbnail.to(self._stylizer.device)
            grid = predict_grid(self._generator, placed, masks, styles).float()
            return blend_grid(grid, self._strength)

    def _mask(self, thumbnail: torch.Tensor) -> torch.Tensor | None:
        """Return the labels of a frame, resized to the size of its thumbnail."""
        if self._of_each is not None:
            number = self._numbers[id(thumbnail)]
            if number >= len(self._of_each):
                raise ClipError(f"--content-mask: has {len(self._of_each)} masks, and the clip has more frames")
            return self._read(self._of_each[number])
        if self._of_all is not None and self._kept is None:
            self._kept = self._read(self._of_all)
        return self._kept

    def _read(self, path: Path) -> torch.Tensor:
        labels = read_mask(path)
        check_aspect(str(path), (labels.shape[0], labels.shape[1]), self._size)
        return F.interpolate(labels[None, None], (self.side, self.side))[0, 0]


def turn_grid(grid: torch.Tensor, turns: int) -> torch.Tensor:
    """Turn the grid `(1, 12, D, GH, GW)` of an upright frame back to the frame as stored.

    Args:
        grid: the grid.
        turns: quarter turns counter-clockwise that bring the frame upright.
    """
    return torch.rot90(grid, -turns, (3, 4))


def held_grids(shots: list[tuple[int, torch.Tensor]], thumbnails: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield the grid of its shot for each thumbnail.

    Args:
        shots: pairs (number of the first frame, grid), from frame 0, in order.
        thumbnails: the thumbnails of all frames.
    """
    following = iter([*shots[1:], None])
    grid, change = shots[0][1], next(following)
    for number, _ in enumerate(thumbnails):
        if change is not None and number >= change[0]:
            grid, change = change[1], next(following)
        yield grid
