"""Fit a bilateral grid to one content photo and its style photos."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import torch
import torch.nn.functional as F

from lookcast.checks import InputError, check_integer
from lookcast.encoders.base import Encoder
from lookcast.fitting.losses import grid_loss
from lookcast.fitting.pair_loss import PairLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.precision import full_precision
from lookcast.structures import LossTerms, StyleInput

WINDOW = 10
"""Number of steps whose decrease of the loss decides whether the fit has settled."""
MAX_STEPS = 10_000
STARTS = ("prediction", "identity")
# A variable of 1 changes the grid by this number. The first step of L-BFGS is the gradient over the sum of its absolute
# values; without the factor, this step is so short that the line search needs several evaluations to lengthen it.
_UNIT = 10.0


class FitState(NamedTuple):
    """The state of a fit after some steps.

    Attributes:
        step: number of steps so far; 0 at the start.
        steps: largest number of steps.
        grid: the grid with the lowest loss so far, `(1, 12, D, GH, GW)`.
        terms: the loss terms of `grid`, detached.
        content: the shrunk content photo, `(1, 3, H, W)` in [0, 1].
    """

    step: int
    steps: int
    grid: torch.Tensor
    terms: LossTerms
    content: torch.Tensor


class LookFit:
    """Optimisation of a bilateral grid for one pair of photos.

    Deep Photo Style Transfer optimises the pixels of the output. This class optimises a grid with the losses of the
    training, so the output stays a locally affine recolouring of the photo, at any resolution. The variable is the
    change of a given grid. It is the sum of grids of several sizes, because a coarse cell changes a whole area at once:
    L-BFGS then needs half as many steps.

    A step is one evaluation of the loss and its gradient; the line search may reject it. The fit ends after `steps`
    steps, or earlier if the loss fell by less than the fraction `tolerance` during the last `WINDOW` steps.

    Args:
        loss: the weighted sum of loss terms; None for `grid_loss()`.
        steps: largest number of steps, from 1 to 10,000.
        max_side: maximum longer side of the photos that the losses compare, in pixels, from 32. Larger photos are
            shrunk.
        cells: for each of the summed grids, the largest number of cells along each axis.
        history: number of earlier gradients that L-BFGS uses, at least 1.
        tolerance: fraction in [0, 1), see above; with 0, the fit ends when L-BFGS finds no lower loss.
        start: the grid to start from: the `prediction` of the generator, or the `identity`.
        on_step: function that is called at the start and after each step. If it returns True, the fit ends.

    Raises:
        InputError: an argument is out of range.

    Reference:
        Luan et al. 2017 (losses, L-BFGS); Gharbi et al. 2017 (the grid).
    """

    def __init__(
        self,
        loss: DeepPhotoLoss | None = None,
        steps: int = 80,
        max_side: int = 320,
        cells: Sequence[int] = (4, 8, 16),
        history: int = 10,
        tolerance: float = 5e-3,
        start: str = "prediction",
        on_step: Callable[[FitState], bool | None] | None = None,
    ) -> None:
        check_integer("steps", steps, 1, MAX_STEPS)
        check_integer("max_side", max_side, 32, 8192)
        check_integer("history", history, 1, 100)
        for number in cells:
            check_integer("cells", number, 1, 128)
        if not cells:
            raise InputError("cells: expected numbers, got none")
        if not 0 <= tolerance < 1:
            raise InputError(f"tolerance: expected a number in [0, 1), got {tolerance:g}")
        if start not in STARTS:
            raise InputError(f"start: expected one of {', '.join(STARTS)}, got {start!r}")
        self.loss = grid_loss() if loss is None else loss
        self.steps, self.max_side, self.cells, self.history = steps, max_side, tuple(cells), history
        self.tolerance, self.start, self.on_step = tolerance, start, on_step

    def fit(
        self,
        encoder: Encoder,
        content: torch.Tensor,
        styles: Sequence[StyleInput],
        content_masks: Sequence[torch.Tensor | None],
        predicted: torch.Tensor,
    ) -> FitState:
        """Fit a grid.

        Args:
            encoder: see `PairLoss`.
            content: see `PairLoss`.
            styles: see `PairLoss`.
            content_masks: for each style, the mask of the content; see `PairLoss`.
            predicted: the grid `(1, 12, D, GH, GW)` that the generator predicts for the pair.

        Returns:
            The state after the last step. Its grid is the grid of the start if no step lowers the loss.

        Raises:
            InputError: see `PairLoss`; or the loss of the start is not finite.
        """
        # A caller may have made the tensors in inference mode; copies made outside of it can take part in gradients.
        with torch.inference_mode(False), torch.enable_grad():
            pair = PairLoss(self.loss, encoder, content, styles, content_masks, self.max_side)
            start = full_precision(predicted.detach().clone())
            if self.start == "identity":
                start = identity_grid(1, *start.shape[2:]).to(start)
            changes = [_zeros(start, cells) for cells in self.cells]

            def evaluate() -> tuple[torch.Tensor, LossTerms]:
                grid = start + _sum(changes, start.shape[2:])
                return grid, pair.terms(grid)

            return Descent(self, changes, evaluate, pair.content).run()


class _LastStep(Exception):  # noqa: N818, no error
    """Raised by the function that L-BFGS evaluates, because L-BFGS has no other way to end."""


class Descent:
    """One minimisation by L-BFGS: counts the steps, and keeps the grid with the lowest loss.

    Args:
        fit: the fit, whose steps, history, tolerance and `on_step` are used.
        variables: the tensors to optimise.
        evaluate: function that returns the grid `(1, 12, D, GH, GW)` of the current variables, and its loss terms.
        content: the shrunk content photo, for the states.
        first: number of steps that were made before this minimisation.
        total: largest number of steps with those of other minimisations; None for `fit.steps`.
    """

    def __init__(
        self,
        fit: LookFit,
        variables: list[torch.Tensor],
        evaluate: Callable[[], tuple[torch.Tensor, LossTerms]],
        content: torch.Tensor,
        first: int = 0,
        total: int | None = None,
    ) -> None:
        self.fit, self.variables, self.evaluate, self.content = fit, variables, evaluate, content
        self.first, self.total = first, fit.steps if total is None else total
        self.lowest: list[float] = []  # the lowest loss so far, after each evaluation
        self.before = math.inf  # the lowest loss at the last call of `improves`
        self.stopped = False
        """True if `on_step` has ended the fit."""

    def run(self) -> FitState:
        """Minimise the loss; return the state after the last step."""
        with suppress(_LastStep):
            # L-BFGS ends when its line search fails, so it starts again without history while this helps.
            while self.improves():
                self.minimise()
        return self.state

    def improves(self) -> bool:
        """Return whether the loss fell since the last call; True at the first call."""
        fell = not self.lowest or self.lowest[-1] < self.before
        self.before = self.lowest[-1] if self.lowest else math.inf
        return fell

    def minimise(self) -> None:
        """Run L-BFGS from the current changes until it ends."""
        optimizer = torch.optim.LBFGS(
            self.variables,
            max_iter=self.fit.steps + 1,
            max_eval=self.fit.steps + 1,
            history_size=self.fit.history,
            tolerance_grad=0,
            tolerance_change=1e-9,
            line_search_fn="strong_wolfe",
        )

        def evaluate() -> torch.Tensor:
            optimizer.zero_grad()
            grid, terms = self.evaluate()
            if not self.lowest and not terms.total.isfinite():
                raise InputError(f"loss: {float(terms.total.detach())} at the start of the fit")
            self._record(grid, terms)
            if not terms.total.isfinite():
                # The line search interpolates losses: it steps back from a high loss, not from NaN or infinity.
                return torch.full_like(terms.total, 1 + 10 * self.lowest[0])
            terms.total.backward()  # type: ignore[no-untyped-call]
            return terms.total

        optimizer.step(evaluate)  # type: ignore[no-untyped-call]

    def _record(self, grid: torch.Tensor, terms: LossTerms) -> None:
        fit, step, total = self.fit, len(self.lowest), float(terms.total.detach())
        if not self.lowest or total < self.lowest[-1]:
            shown = LossTerms(*(term.detach() for term in terms))
            self.state = FitState(step, self.total, grid.detach(), shown, self.content)
        self.state = self.state._replace(step=self.first + step)
        self.lowest.append(float(self.state.terms.total))
        self.stopped = fit.on_step is not None and bool(fit.on_step(self.state))
        if self.stopped or step >= fit.steps or self._settled():
            raise _LastStep

    def _settled(self) -> bool:
        if len(self.lowest) <= WINDOW:
            return False
        before, after = self.lowest[-1 - WINDOW], self.lowest[-1]
        return before - after < self.fit.tolerance * before


def _zeros(grid: torch.Tensor, cells: int) -> torch.Tensor:
    """Return a grid of zeros with at most `cells` cells along each axis of a grid, as a variable."""
    size = [min(cells, side) for side in grid.shape[2:]]
    return torch.zeros(*grid.shape[:2], *size, device=grid.device, dtype=grid.dtype, requires_grad=True)


def _sum(changes: Sequence[torch.Tensor], size: Sequence[int]) -> torch.Tensor:
    """Return the change of a grid of this size: the sum of the variables, enlarged, in units of `_UNIT`."""
    return _UNIT * torch.stack([F.interpolate(change, tuple(size), mode="trilinear") for change in changes]).sum(0)
