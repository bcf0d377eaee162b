"""Training on pairs of a content and a style photo, with and without masks."""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field

from lookcast.checks import InputError
from lookcast.data.sampling import seed_of
from lookcast.data.transforms import (
    Generators,
    generators_of,
    random_grade,
    regional_grade,
    slider_grade,
    uniform,
    upload,
)
from lookcast.generators.universal import UniversalGenerator
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.segmenters.pseudo_masks import PseudoMasks
from lookcast.segmenters.rough_masks import roughen
from lookcast.structures import Features, LossTerms, PhotoBatch, Stylization
from lookcast.training.modules.single import LookModule, Masks, Target, check_taps


class UniversalModule(LookModule):
    """Train a universal generator on pairs of a content and a style photo, whose regions are found by clustering.

    The loss compares corresponding regions in every step. The generator gets the masks only in a share of the steps. In
    the remaining steps, the generator learns to find the corresponding regions without masks.

    Args:
        pseudo_masks: makes the masks of content and style by clustering.
        masked_share: share of the steps, in [0, 1], in which the generator gets the masks.
        style_grade: strength of the random colour grades of the style photo in training; 0 for none. The grades differ
            between regions (`regional_grade`), and come after the clustering. If content and style are windows of one
            photo, the grade is regional or the same for the whole photo. The content as it was before its own grade
            (`PhotoBatch.ungraded`) then gets the same grade. The result is the truth, which the output should equal.
        rough_share: share of the steps with masks, in [0, 1], in which the generator gets rough masks (`roughen`). The
            loss always compares the exact regions.
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
        rough_share: Annotated[float, Field(ge=0, le=1)] = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(style=None, style_mask=None, **options)
        if not isinstance(self.generator, UniversalGenerator):
            raise InputError(
                f"generator: {self.generator.name} takes no style photo; training on pairs needs a universal generator"
            )
        for name, share in (("masked_share", masked_share), ("rough_share", rough_share)):
            if not 0 <= share <= 1:
                raise InputError(f"{name}: expected a number in [0, 1], got {share}")
        check_taps("module.pseudo_masks.taps", pseudo_masks.taps, self.encoder)
        self.pseudo_masks, self.masked_share, self.style_grade = pseudo_masks, masked_share, style_grade
        self.rough_share = rough_share

    @torch.no_grad()
    def make_target(self, batch: PhotoBatch) -> Target:
        """Return the photos, the features and the masks of a batch; the masks come from clustering."""
        content, style = batch.content, self.style_of(batch)
        features = self.encoder(content), self.encoder(style)
        return Target(content, style, *features, self.pseudo_masks(content, style, *features, torch.default_generator))

    def stylize(self, batch: PhotoBatch, target: Target) -> tuple[Target, Stylization]:
        """Grade the style photo at random, then stylize the content.

        `masked_share` is the probability that the generator gets the masks.

        Returns:
            The target with the graded style photo, and the output.
        """
        if self.style_grade > 0:
            target = self._graded(batch, target)
        masks: Masks = (None, None)
        if torch.rand(()) < self.masked_share:
            masks = target.masks
            # If `rough_share` is 0, no number is drawn, so that all later draws are as in earlier versions.
            if self.rough_share > 0 and torch.rand(()) < self.rough_share:
                draws = [generators_of([seed_of(seed, "rough", n) for seed in batch.seeds]) for n in (0, 1)]
                content_mask, style_mask = masks
                assert content_mask is not None
                assert style_mask is not None
                masks = roughen(content_mask, draws[0]), roughen(style_mask, draws[1])
        return target, self._stylize(target, masks)

    @torch.no_grad()
    def _graded(self, batch: PhotoBatch, target: Target) -> Target:
        """Grade the style photos; if content and style are windows of one photo, add the truth to the target."""
        content_mask, style_mask = target.masks
        assert content_mask is not None
        assert style_mask is not None
        draws = generators_of([seed_of(seed, "regional grade") for seed in batch.seeds])
        same = [n for n, flag in enumerate(batch.same_photo) if flag and batch.ungraded is not None]
        other = [n for n in range(len(target.style)) if n not in same]
        style, truth = target.style.clone(), None
        if other:
            index = upload(torch.tensor(other), style.device)
            style[index] = regional_grade(style[index], style_mask[index], self.style_grade, [draws[n] for n in other])
        if same:
            assert batch.ungraded is not None
            index = upload(torch.tensor(same), style.device)
            # The two windows are joined side by side: the contrast of a grade depends on the mean of the image, so
            # separate windows would get different grades. The masks are resized before they are joined, because a
            # resize of the joined masks would mix the labels at the seam.
            photos = torch.cat([batch.ungraded[index], style[index]], 3)
            resized = [
                F.interpolate(mask[index], style.shape[-2:], mode="bilinear") for mask in (content_mask, style_mask)
            ]
            masks = torch.cat(resized, 3)
            truth, style[index] = self._known_grade(photos, masks, [draws[n] for n in same]).chunk(2, 3)
        features = self.encoder(style)
        return target._replace(style=style, style_features=features, truth=truth, with_truth=tuple(same))

    def _known_grade(self, photos: torch.Tensor, masks: torch.Tensor, draws: Generators) -> torch.Tensor:
        """Grade photos that are joined windows, each by one of three functions that is chosen at random.

        The chances are 60 % for `slider_grade`, 20 % for `random_grade` and 20 % for `regional_grade`.
        """
        case = upload(uniform(draws, 1), photos.device)[..., None, None]
        whole = torch.where(
            case < 0.6,
            slider_grade(photos, self.style_grade, draws),
            random_grade(photos, 0.7 * self.style_grade, draws),
        )
        return torch.where(case < 0.8, whole, regional_grade(photos, masks, self.style_grade, draws))

    def _terms(self, target: Target, output: Stylization, features: Features) -> LossTerms:
        """Return the mean of the loss terms over all contents.

        The loss is computed separately for the contents with a known truth and for the other contents. The two results
        are weighted by the numbers of contents.
        """
        if target.truth is None:
            return super()._terms(target, output, features)
        count = len(target.content)
        other = [n for n in range(count) if n not in target.with_truth]
        means = []
        for chosen, truth in ((list(target.with_truth), target.truth), (other, None)):
            if chosen:
                index = upload(torch.tensor(chosen), target.content.device)
                parts = [
                    {tap: x.index_select(0, index) for tap, x in taps.items()}
                    for taps in (target.content_features, features, target.style_features)
                ]
                masks = [None if mask is None else mask[index] for mask in target.masks]
                grid = None if output.grid is None else output.grid.index_select(0, index)
                terms = self.loss(
                    target.content[index],
                    target.style[index],
                    Stylization(output.image.index_select(0, index), grid),
                    *parts,
                    *masks,
                    truth,
                )
                means.append([len(chosen) / count * term for term in terms])
        return LossTerms(*(torch.stack(values).sum() for values in zip(*means, strict=True)))

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
