"""Steps of the training on pairs: any content, any style, with and without masks."""

from typing import Any

import torch

from lookcast.checks import InputError
from lookcast.data.sampling import seed_of
from lookcast.data.transforms import generators_of, regional_grade
from lookcast.generators.universal import UniversalGenerator
from lookcast.metrics.photo import edge_ssim
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.segmenters.pseudo_masks import PseudoMasks
from lookcast.structures import Features, PhotoBatch, Stylization
from lookcast.training.modules.single import LookModule, Masks


class UniversalModule(LookModule):
    """Trains a universal generator on pairs whose regions are made by clustering.

    The loss always compares region by region. In a share of the steps the generator is not shown the masks: so it
    learns which region goes with which.

    Args:
        pseudo_masks: makes the regions.
        masked_share: share of the steps in which the generator sees them.
        style_grade: strength of the grades that regions of the style photo get before training on it, see
            `regional_grade`; the regions are found before.
        options: those of `LookModule`, without a style photo.

    Raises:
        InputError: a generator that takes no style photo, or a share outside [0, 1].
    """

    generator: UniversalGenerator

    def __init__(
        self, pseudo_masks: PseudoMasks, masked_share: float = 0.5, style_grade: float = 0.0, **options: Any
    ) -> None:
        super().__init__(style=None, style_mask=None, **options)
        if not isinstance(self.generator, UniversalGenerator):
            raise InputError(
                f"generator: {self.generator.name} takes no style photo, training on pairs needs one that does"
            )
        if not 0 <= masked_share <= 1:
            raise InputError(f"masked_share: expected a number in [0, 1], got {masked_share}")
        missing = [tap for tap in pseudo_masks.taps if tap not in self.encoder.taps]
        if missing:
            given = ", ".join(self.encoder.taps)
            raise InputError(f"module.pseudo_masks.taps: {missing[0]} is no tap of the encoder, which gives {given}")
        self.pseudo_masks, self.masked_share, self.style_grade = pseudo_masks, masked_share, style_grade

    def training_step(self, batch: PhotoBatch, batch_index: int) -> torch.Tensor:
        """One step; logs every term as `train/loss/...`."""
        torch.manual_seed(batch.seed)
        content, style = self._features(batch)
        masks = self._masks(batch, content, style)
        if self.style_grade > 0:
            draws = generators_of([seed_of(seed, "regional grade") for seed in batch.seeds])
            batch = batch._replace(style=regional_grade(self.style_of(batch), masks[1], self.style_grade, draws))
            with torch.no_grad():
                style = self.encoder(self.style_of(batch))
        shown = bool(torch.rand(()) < self.masked_share)
        output = self._stylize(batch, content, style, masks if shown else (None, None))
        painted = self.encoder(output.image.clamp(0, 1))
        terms = self._terms(batch, output, content, painted, style, masks)
        self.log_training(terms)
        return terms.total

    def validation_step(self, batch: PhotoBatch, batch_index: int) -> None:
        """The figures a look is judged by, with masks (`val/...`) and without (`val/free/...`)."""
        torch.manual_seed(batch.seed)
        content, style = self._features(batch)
        masks = self._masks(batch, content, style)
        size = len(batch.content)
        for prefix, shown in (("val", masks), ("val/free", (None, None))):
            output = self._stylize(batch, content, style, shown)
            image = output.image.clamp(0, 1)
            painted = self.encoder(image)
            terms = self._terms(batch, output, content, painted, style, masks)
            self.log_judged(prefix, terms, size)
            self.log_dict(
                {
                    f"{prefix}/style_distance": self.style_distance(painted, style, *masks),
                    f"{prefix}/edge_ssim": edge_ssim(batch.content, image).mean(),
                },
                batch_size=size,
                sync_dist=True,
            )
        untouched = self.style_distance(content, style, *masks)
        self.log("val/style_distance_untouched", untouched, batch_size=size, sync_dist=True)

    @torch.no_grad()
    def _features(self, batch: PhotoBatch) -> tuple[Features, Features]:
        return self.encoder(batch.content), self.encoder(self.style_of(batch))

    def _masks(self, batch: PhotoBatch, content: Features, style: Features) -> tuple[torch.Tensor, torch.Tensor]:
        return self.pseudo_masks(batch.content, self.style_of(batch), content, style, torch.default_generator)

    def _stylize(self, batch: PhotoBatch, content: Features, style: Features, masks: Masks) -> Stylization:
        photos = zip((batch.content, self.style_of(batch)), masks, (content, style), strict=True)
        grid = self.generator.predict_grid(*(self.generator.read(*photo) for photo in photos))
        return Stylization(apply_grid(grid, batch.content), grid)
