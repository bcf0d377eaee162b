"""Training on pairs of a content and a style photo, with and without masks."""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field

from lookcast.checks import InputError
from lookcast.data.sampling import seed_of
from lookcast.data.transforms import generators_of, regional_grade
from lookcast.generators.universal import UniversalGenerator
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.segmenters.pseudo_masks import PseudoMasks
from lookcast.structures import PhotoBatch, Stylization
from lookcast.training.modules.single import LookModule, Masks, Target, check_taps


class UniversalModule(LookModule):
    """Train a universal generator on pairs of photos; clustering finds the regions of both photos.

    The loss compares corresponding regions in every step. The generator gets the masks only in a share of the steps. In
    the remaining steps, the generator learns to find the corresponding regions without masks.

    Args:
        pseudo_masks: makes the masks of content and style by clustering.
        masked_share: share of the steps, in [0, 1], in which the generator gets the masks.
        style_grade: strength of the random grades, see `regional_grade`. In training, each region of the style photo is
            graded at random. The clustering sees the style photo before these grades.
        options: arguments of `LookModule`, except `style` and `style_mask`.

    Raises:
        InputError: the generator takes no style photo, `masked_share` is outside [0, 1], or the encoder lacks a tap.
    """

    generator: UniversalGenerator

    def __init__(
        self,
        pseudo_masks: PseudoMasks,
        masked_share: Annotated[float, Field(ge=0, le=1)] = 0.5,
        style_grade: Annotated[float, Field(ge=0)] = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(style=None, style_mask=None, **options)
        if not isinstance(self.generator, UniversalGenerator):
            raise InputError(
                f"generator: {self.generator.name} takes no style photo; training on pairs needs a universal generator"
            )
        if not 0 <= masked_share <= 1:
            raise InputError(f"masked_share: expected a number in [0, 1], got {masked_share}")
        check_taps("module.pseudo_masks.taps", pseudo_masks.taps, self.encoder)
        self.pseudo_masks, self.masked_share, self.style_grade = pseudo_masks, masked_share, style_grade

    @torch.no_grad()
    def make_target(self, batch: PhotoBatch) -> Target:
        """Return the photos, the features and the masks of a batch; the masks come from clustering."""
        content, style = batch.content, self.style_of(batch)
        features = self.encoder(content), self.encoder(style)
        return Target(content, style, *features, self.pseudo_masks(content, style, *features, torch.default_generator))

    def stylize(self, batch: PhotoBatch, target: Target) -> tuple[Target, Stylization]:
        """Grade the regions of the style photo at random, then stylize the content.

        Returns:
            The target with the graded style photo, and the output. The generator gets the masks in a share of the
            steps.
        """
        style_mask = target.masks[1]
        if self.style_grade > 0 and style_mask is not None:
            draws = generators_of([seed_of(seed, "regional grade") for seed in batch.seeds])
            style = regional_grade(target.style, style_mask, self.style_grade, draws)
            with torch.no_grad():
                target = target._replace(style=style, style_features=self.encoder(style))
        masked = bool(torch.rand(()) < self.masked_share)
        return target, self._stylize(target, target.masks if masked else (None, None))

    def val_variants(self, batch: PhotoBatch, target: Target) -> Iterator[tuple[str, Stylization]]:
        """Yield two pairs `(prefix of the log keys, output)`: `val` with masks, then `val/unmasked` without masks."""
        yield "val", self._stylize(target, target.masks)
        yield "val/unmasked", self._stylize(target, (None, None))

    def _stylize(self, target: Target, masks: Masks) -> Stylization:
        photos = zip(
            (target.content, target.style), masks, (target.content_features, target.style_features), strict=True
        )
        grid = self.generator.predict_grid(*(self.generator.read(*photo) for photo in photos))
        return Stylization(apply_grid(grid, target.content), grid)
