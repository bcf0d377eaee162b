"""A generator that holds one fitted grid."""

import torch

from lookcast.checks import check_integer
from lookcast.generators.base import GridGenerator
from lookcast.generators.bilateral import LIMITS
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid


class FittedGenerator(GridGenerator):
    """A generator that returns the same grid for every photo.

    The grid was fitted to one photo, so it suits photos of the same scene from the same place, such as a burst or a
    timelapse. The untrained generator is the identity.

    Args:
        depth, height, width: D, GH and GW of the grid.

    Raises:
        InputError: an argument is out of range.
    """

    name = "fitted"
    thumbnail = 16  # not read

    grid: torch.Tensor

    def __init__(self, depth: int = 8, height: int = 16, width: int = 16) -> None:
        super().__init__()
        self.arguments = {"depth": depth, "height": height, "width": width}
        for name, value in self.arguments.items():
            check_integer(name, value, *LIMITS[name])
        self.register_buffer("grid", identity_grid(1, depth, height, width))

    @classmethod
    def from_grid(cls, grid: torch.Tensor) -> "FittedGenerator":
        """Return a generator that holds a copy of a grid `(1, 12, D, GH, GW)`."""
        fitted = cls(*grid.shape[2:])
        fitted.grid.copy_(grid)
        return fitted

    def predict_grid(self, content: torch.Tensor) -> torch.Tensor:
        """Return the grid, once for each photo of the batch."""
        return self.grid.expand(content.shape[0], COEFFICIENTS, *self.grid.shape[2:])
