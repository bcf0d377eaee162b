"""Fit the pixels of an output to one content photo and its style photos: the method of the paper."""

from collections.abc import Callable, Sequence

import torch

from lookcast.checks import InputError, check_integer
from lookcast.encoders.base import Encoder
from lookcast.fitting.look_fit import Descent, FitState, LookFit
from lookcast.fitting.losses import pixel_loss
from lookcast.fitting.pair_loss import PairLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.photorealism import MattingPenalty
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.local_affine import num_windows
from lookcast.ops.precision import full_precision
from lookcast.ops.smoothing import smooth_local_affine
from lookcast.structures import LossTerms, StyleInput, Stylization


class PixelFit(LookFit):
    """The optimisation of Deep Photo Style Transfer over the pixels of the output.

    * Stage 1 starts from the content, and minimises the loss without its photorealism term: content, style and total
      variation.
    * Stage 2 starts from the result of stage 1, and adds the matting energy.
    * At the end, `ops.smoothing.smooth_local_affine` replaces the output by a smooth field of affine maps.

    Both stages use L-BFGS; see `LookFit` for steps, history and tolerance. Pixels can paint new light, such as lit
    windows at night, which a grid can't. But pixels are fitted at the size of the shrunk photo only. The result is
    therefore given as a grid with a cell for each of these pixels and one level of depth. Applied to the shrunk photo,
    this grid gives the output exactly; applied to a larger photo, it keeps the details of that photo.

    The method differs from the authors' code in three points: stage 1 starts from the content, not from noise; the
    masks have a weight, see `ops.gram.gram_matrix`; and the result has the size of the photo, as described above.

    Args:
        loss: the weighted sum of loss terms, whose photorealism term is a `MattingPenalty`; None for `pixel_loss()`.
            `matting_weight` replaces the weight of this term.
        encoder: the encoder whose features the loss compares; None for the encoder that `fit` gets.
        matting_weight: lambda, the weight of `ops.local_affine.matting_energy` in stage 2, at least 0.
        steps: largest number of steps of each stage, from 1 to 10,000.
        max_side: maximum longer side of the photos that are optimised and compared, in pixels, from 32.
        history: number of earlier gradients that L-BFGS uses, at least 1. Each takes two images of memory.
        tolerance: fraction in [0, 1); a stage ends early if its loss fell by less during ten steps.
        smooth_radius: radius of the final smoothing in pixels; 0 for no smoothing.
        smooth_edge: see `ops.smoothing.smooth_local_affine`.
        on_step: function that is called at the start of each stage and after each step. If it returns True, the fit
            ends with the smoothing of the best output so far.

    Raises:
        InputError: an argument is out of range, or the loss has another photorealism term.

    Reference:
        Luan et al. 2017, section 4.
    """

    def __init__(
        self,
        loss: DeepPhotoLoss | None = None,
        encoder: Encoder | None = None,
        matting_weight: float = 1e4,
        steps: int = 200,
        max_side: int = 512,
        history: int = 10,
        tolerance: float = 1e-3,
        smooth_radius: int = 15,
        smooth_edge: float = 0.01,
        on_step: Callable[[FitState], bool | None] | None = None,
    ) -> None:
        loss = pixel_loss() if loss is None else loss
        super().__init__(loss, steps, max_side, (1,), history, tolerance, "identity", on_step)
        check_integer("smooth_radius", smooth_radius, 0, 1000)
        if not matting_weight >= 0:
            raise InputError(f"matting_weight: expected at least 0, got {matting_weight:g}")
        if not smooth_edge > 0:
            raise InputError(f"smooth_edge: expected a positive number, got {smooth_edge:g}")
        if not isinstance(loss.photorealism, MattingPenalty):
            raise InputError(f"loss.photorealism: expected the matting energy, got {loss.photorealism}")
        self.encoder, self.matting_weight = encoder, matting_weight
        self.smooth_radius, self.smooth_edge = smooth_radius, smooth_edge

    def fit(
        self,
        encoder: Encoder,
        content: torch.Tensor,
        styles: Sequence[StyleInput],
        content_masks: Sequence[torch.Tensor | None],
        predicted: torch.Tensor | None = None,
    ) -> FitState:
        """Fit an output.

        Args:
            encoder: see `PairLoss`; not used if the fit has an encoder of its own.
            content: see `PairLoss`.
            styles: see `PairLoss`.
            content_masks: for each style, the mask of the content; see `PairLoss`.
            predicted: not used. The argument exists because `LookFit.fit` has it.

        Returns:
            The state after the last step. Its grid has one level of depth, and a cell for each pixel of the shrunk
            photo: `(1, 12, 1, H, W)`. Its terms are those before the smoothing.

        Raises:
            InputError: see `PairLoss`; or the loss of the start is not finite.
        """
        encoder = encoder if self.encoder is None else self.encoder.to(content.device)
        # A caller may have made the tensors in inference mode; copies made outside of it can take part in gradients.
        with torch.inference_mode(False), torch.enable_grad():
            pair = PairLoss(self.loss, encoder, full_precision(content), styles, content_masks, self.max_side)
            first = self._minimise(pair, 0.0, pair.content, 0)
            last = first
            if not first.stopped:
                image = pair.content + _offsets(first.state.grid)
                last = self._minimise(pair, self.matting_weight, image, first.state.step)
        if self.smooth_radius == 0:
            return last.state
        image = (pair.content + _offsets(last.state.grid)).clamp(0, 1)
        models = smooth_local_affine(pair.content, image, self.smooth_radius, self.smooth_edge)
        return last.state._replace(grid=models[:, :, None])

    def _minimise(self, pair: PairLoss, matting_weight: float, start: torch.Tensor, before: int) -> Descent:
        """Run one stage from an image, and return the descent."""
        weight = torch.tensor(3 * num_windows(*start.shape[-2:]) * matting_weight)  # of the mean; see `MattingPenalty`
        pair.loss.weights = pair.loss.weights._replace(photorealism=weight)
        # L-BFGS needs a contiguous gradient, and photos from files are channels-last.
        image = start.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
        identity = identity_grid(1, 1, *start.shape[-2:]).to(start)

        def evaluate() -> tuple[torch.Tensor, LossTerms]:
            grid = identity.clone()
            grid[:, 3::4, 0] = image.detach() - pair.content
            return grid, pair.terms_of(Stylization(image))

        descent = Descent(self, [image], evaluate, pair.content, before, 2 * self.steps)
        descent.run()
        return descent


def _offsets(grid: torch.Tensor) -> torch.Tensor:
    """Return the offsets of a grid with one level of depth, `(1, 3, H, W)`."""
    return grid[:, 3::4, 0]
