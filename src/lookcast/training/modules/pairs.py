"""The training on pairs: any content, any style, with and without masks."""

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
    """Train a universal generator on pairs of photos whose regions are found by clustering.

    The loss compares region by region in every step. The generator sees the masks in a share of the steps, so that in
    the others it learns which regions correspond.

    Args:
        pseudo_masks: finds the regions.
        masked_share: share of the steps, in [0, 1], in which the generator sees the masks.
        style_grade: strength of the grades that the regions of a style photo get in training, see `regional_grade`; the
            regions are found before that.
        options: arguments of `LookModule`, without a style photo.

    Raises:
        InputError: a generator that takes no style photo, a share outside [0, 1], or taps that the encoder lacks.
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
                f"generator: {self.generator.name} takes no style photo, training on pairs needs one that does"
            )
        if not 0 <= masked_share <= 1:
            raise InputError(f"masked_share: expected a number in [0, 1], got {masked_share}")
        check_taps("module.pseudo_masks.taps", pseudo_masks.taps, self.encoder)
        self.pseudo_masks, self.masked_share, self.style_grade = pseudo_masks, masked_share, style_grade

    @torch.no_grad()
    def make_target(self, batch: PhotoBatch) -> Target:
        """Return the photos and features of a batch, with regions from clustering."""
        content, style = batch.content, self.style_of(batch)
        features = self.encoder(content), self.encoder(style)
        return Target(content, style, *features, self.pseudo_masks(content, style, *features, torch.default_generator))

    def stylize(self, batch: PhotoBatch, target: Target) -> tuple[Target, Stylization]:
        """Grade the style region by region, and show the generator the masks in a share of the steps."""
        style_mask = target.masks[1]
        if self.style_grade > 0 and style_mask is not None:
            draws = generators_of([seed_of(seed, "regional grade") for seed in batch.seeds])
            style = regional_grade(target.style, style_mask, self.style_grade, draws)
            with torch.no_grad():
                target = target._replace(style=style, style_features=self.encoder(style))
        masked = bool(torch.rand(()) < self.masked_share)
        return target, self._stylize(target, target.masks if masked else (None, None))

    def val_variants(self, batch: PhotoBatch, target: Target) -> Iterator[tuple[str, Stylization]]:
        """Yield the output with masks (`val`) and without (`val/unmasked`)."""
        yield "val", self._stylize(target, target.masks)
        yield "val/unmasked", self._stylize(target, (None, None))

    def _stylize(self, target: Target, masks: Masks) -> Stylization:
        photos = zip(
            (target.content, target.style), masks, (target.content_features, target.style_features), strict=True
        )
        grid = self.generator.predict_grid(*(self.generator.read(*photo) for photo in photos))
        return Stylization(apply_grid(grid, target.content), grid)
