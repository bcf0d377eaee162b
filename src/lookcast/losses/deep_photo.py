"""The complete loss: the terms of Deep Photo Style Transfer, and further terms for bilateral grids."""

from typing import NamedTuple

import torch
from kornia.losses import total_variation
from torch import nn

from lookcast.checks import InputError
from lookcast.losses.color import ColorLoss, ColorTargets
from lookcast.losses.flatness import flatness_excess
from lookcast.losses.smoothness import gamut_excess, grid_smoothness
from lookcast.losses.style import SegmentedStyleLoss
from lookcast.ops.precision import full_precision
from lookcast.ops.regions import check_mask_pair
from lookcast.structures import Features, LossTerms, Stylization


class StyleTargets(NamedTuple):
    """The statistics of the style photos that the loss compares with the output.

    Attributes:
        grams: targets of the style term; None if its weight is 0.
        colors: targets of the colour term; None if its weight is 0.
    """

    grams: dict[str, torch.Tensor] | None
    colors: ColorTargets | None


class DeepPhotoLoss(nn.Module):
    """Weighted sum of terms: content, style, colour, photorealism, smoothness, variation, gamut, truth and flatness.

    `L = w_c L_content + w_s L_style + w_k L_color + w_p L_photorealism + w_g L_smoothness + w_v L_variation
    + w_o L_gamut + w_t L_truth + w_f L_flatness`. A term of weight 0 is not computed and is reported as 0.

    The truth T of a pair is the photo that the output O should equal. It is known for two windows of one photo. Then
    L_truth is the mean of `sqrt((O - T)^2 + 1e-4)` over pixels and channels, and the weights of style and colour are
    multiplied by `style_share_with_truth`: the two windows differ in their statistics, so an output that matches the
    statistics of the style does not equal the truth.

    Args:
        content: content term, a function of (output features, content features).
        style: style term.
        color: colour term.
        photorealism: photorealism term, a function of (content, output); None for no photorealism term.
        content_weight, style_weight, color_weight, photorealism_weight, smoothness_weight, variation_weight,
            gamut_weight, truth_weight, flatness_weight: weights of the terms, at least 0.
        style_share_with_truth: factor of the weights of style and colour for pairs whose truth is known, at least 0.

    Raises:
        InputError: a weight or the factor is negative.

    Reference:
        Luan et al. 2017, eq. 4.
    """

    def __init__(
        self,
        content: nn.Module,
        style: SegmentedStyleLoss,
        color: ColorLoss,
        photorealism: nn.Module | None,
        content_weight: float,
        style_weight: float,
        color_weight: float,
        photorealism_weight: float,
        smoothness_weight: float,
        variation_weight: float,
        gamut_weight: float,
        truth_weight: float = 0.0,
        flatness_weight: float = 0.0,
        style_share_with_truth: float = 1.0,
    ) -> None:
        super().__init__()
        self.content, self.style, self.color, self.photorealism = content, style, color, photorealism
        self.weights = LossTerms(
            total=torch.tensor(1.0),
            content=torch.tensor(content_weight),
            style=torch.tensor(style_weight),
            color=torch.tensor(color_weight),
            photorealism=torch.tensor(0.0 if photorealism is None else photorealism_weight),
            smoothness=torch.tensor(smoothness_weight),
            variation=torch.tensor(variation_weight),
            gamut=torch.tensor(gamut_weight),
            truth=torch.tensor(truth_weight),
            flatness=torch.tensor(flatness_weight),
        )
        for name, weight in self.weights._asdict().items():
            if not weight >= 0:  # this form refuses NaN too
                raise InputError(f"{name}_weight: expected at least 0, got {weight:g}")
        if not style_share_with_truth >= 0:
            raise InputError(f"style_share_with_truth: expected at least 0, got {style_share_with_truth:g}")
        share = style_share_with_truth
        self.weights_with_truth = self.weights._replace(
            style=share * self.weights.style, color=share * self.weights.color
        )

    def forward(
        self,
        image: torch.Tensor,
        style: torch.Tensor,
        output: Stylization,
        image_features: Features,
        output_features: Features,
        style_features: Features,
        content_mask: torch.Tensor | None = None,
        style_mask: torch.Tensor | None = None,
        truth: torch.Tensor | None = None,
    ) -> LossTerms:
        """Compute the terms and their weighted sum.

        Args:
            image: the content photos, `(B, 3, H, W)`.
            style: the style photos, `(1 or B, 3, H', W')`.
            output: the output of the generator for these photos.
            image_features: features of the content photos.
            output_features: features of the output's clamped image.
            style_features: features of the style photos, with batch size 1 or B.
            content_mask: `(B, K, H, W)`; None stands for no mask.
            style_mask: `(1 or B, K, H', W')`; required with `content_mask`, and refused otherwise.
            truth: the photos that the output should equal, `(B, 3, H, W)`; None if they are unknown.
        """
        check_mask_pair(content_mask, style_mask)
        targets = self.targets(style, style_features, style_mask, truth is not None)
        return self.compare(image, output, image_features, output_features, targets, content_mask, truth)

    def targets(
        self,
        style: torch.Tensor,
        style_features: Features,
        style_mask: torch.Tensor | None = None,
        truth_known: bool = False,
    ) -> StyleTargets:
        """Return what `compare` needs of the style photos, so that many outputs can be compared with the same styles.

        Args:
            style: see `forward`.
            style_features: see `forward`.
            style_mask: see `forward`.
            truth_known: whether `compare` will get the truth.
        """
        weights = self.weights_with_truth if truth_known else self.weights
        return StyleTargets(
            self.style.targets(style_features, style_mask) if weights.style > 0 else None,
            self.color.targets(style, style_mask) if weights.color > 0 else None,
        )

    def compare(
        self,
        image: torch.Tensor,
        output: Stylization,
        image_features: Features,
        output_features: Features,
        targets: StyleTargets,
        content_mask: torch.Tensor | None = None,
        truth: torch.Tensor | None = None,
    ) -> LossTerms:
        """Compute the terms and their weighted sum for targets that were computed before; see `forward`."""
        stylized, grid = full_precision(output.image), output.grid
        weights = self.weights if truth is None else self.weights_with_truth
        terms = {name: stylized.new_zeros(()) for name in LossTerms._fields if name != "total"}
        if weights.content > 0:
            terms["content"] = self.content(output_features, image_features)
        if targets.grams is not None:
            terms["style"] = self.style.compare(output_features, targets.grams, content_mask)
        if targets.colors is not None:
            terms["color"] = self.color.compare(stylized.clamp(0, 1), targets.colors, content_mask)
        if self.photorealism is not None and weights.photorealism > 0:
            terms["photorealism"] = self.photorealism(image, stylized)
        if weights.smoothness > 0 and grid is not None:
            terms["smoothness"] = grid_smoothness(grid)
        if weights.variation > 0:
            terms["variation"] = total_variation(stylized, reduction="mean").mean()
        if weights.gamut > 0:
            terms["gamut"] = gamut_excess(stylized)
        if weights.truth > 0 and truth is not None:
            terms["truth"] = ((stylized - truth).square() + 1e-4).sqrt().mean()
        if weights.flatness > 0:
            terms["flatness"] = flatness_excess(image, stylized.clamp(0, 1))
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        return LossTerms(total, **{name: term.detach() for name, term in terms.items()})
