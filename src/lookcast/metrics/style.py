"""Figures that compare an output with the style photo, region by region, and features with features."""

import torch
from kornia.color import rgb_to_linear_rgb

from lookcast.checks import InputError, check_image, check_mask, check_shape
from lookcast.ops.gram import gram_matrix, relative_distance
from lookcast.ops.masks import resize_mask
from lookcast.ops.regions import MIN_SHARE, check_mask_pair, label_shares
from lookcast.structures import Features

NUM_DIRECTIONS, NUM_QUANTILES, MAX_SAMPLES = 32, 256, 60_000
"""Of the sliced Wasserstein distance: directions in Lab, quantiles from .005 to .995, pixels that are sorted."""

# CIE, from sRGB's primaries and D65. kornia's rgb_to_lab rounds these to six digits and takes another white than its
# matrix has: the distances of a region then move by up to .0008, most of what two programs may differ by.
_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)


def gram_distance(
    output: Features,
    style: Features,
    content_mask: torch.Tensor | None = None,
    style_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Style: relative distance of the regions' Gram matrices, mean over labels by area and over taps.

    Per tap `sum_k w_k |G_k[O] - G_k[S]| / |G_k[S]| / sum_k w_k`, G with a constant channel, so that means and
    covariances both count; w_k is the content's share of label k. Differs from `losses.style.SegmentedStyleLoss` in
    that a label absent from either photo is left out (published outputs were not made for lookcast's fallback), and in
    that shares are taken at the tap's resolution.

    Args:
        output: features by tap, each `(B, C, h, w)`.
        style: features of the style photo, the same taps, of batch 1 or B.
        content_mask: `(B, K, H, W)`: the regions of the output are the content's.
        style_mask: `(1 or B, K, H', W')`; both masks or neither, which makes each photo one region.

    Returns:
        `(B,)`; NaN where the two photos share no label.

    Raises:
        InputError: other taps, one mask without the other, or masks with other labels.

    Reference:
        Luan et al. 2017, eq. 3a-3b.
    """
    _check_taps(output, style)
    check_mask_pair(content_mask, style_mask)
    distances = []
    for tap, features in output.items():
        gram, target = gram_matrix(features, content_mask), gram_matrix(style[tap], style_mask)
        distance = relative_distance(gram, target)
        if content_mask is None or style_mask is None:
            distances.append(distance.mean(1))
            continue
        ours, theirs = (
            label_shares(resize_mask(mask.to(distance.dtype), maps.shape[-2:]))
            for mask, maps in ((content_mask, features), (style_mask, style[tap]))
        )
        weight = ours * ((ours >= MIN_SHARE) & (theirs >= MIN_SHARE))
        distances.append((distance * weight).sum(1) / weight.sum(1))
    return torch.stack(distances).mean(0)


def sliced_wasserstein(
    output: torch.Tensor,
    style: torch.Tensor,
    content_mask: torch.Tensor | None = None,
    style_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Colour: sliced Wasserstein distance of the regions' colours in CIELAB (D65), mean over labels by area.

    Along each of 32 fixed directions, the mean distance of 256 quantiles of the two regions' pixels. A pixel belongs to
    the label that has more than half of it; regions above 60,000 pixels are thinned evenly.

    Args:
        output: `(B, 3, H, W)` in [0, 1].
        style: `(1 or B, 3, H', W')` in [0, 1].
        content_mask: `(B, K, H, W)`.
        style_mask: `(1 or B, K, H', W')`; both masks or neither, which makes each photo one region.

    Returns:
        `(B,)` in Lab units; NaN where the two photos share no label.

    Raises:
        ShapeError: not images, or masks of another size.
        InputError: one mask without the other, or masks with other labels.

    Reference:
        Rabin et al., "Wasserstein Barycenter and Its Application to Texture Mixing", SSVM 2011.
    """
    check_image("output", output)
    check_shape("style", style, (output.shape[0] if style.shape[0] != 1 else 1, 3, "H", "W"))
    check_mask_pair(content_mask, style_mask)
    if content_mask is not None and style_mask is not None:
        check_mask("content_mask", content_mask, output)
        check_mask("style_mask", style_mask, style)
    directions = torch.randn(NUM_DIRECTIONS, 3, generator=torch.Generator().manual_seed(0))
    directions = (directions / directions.norm(dim=1, keepdim=True)).to(output.device)
    ours = _regions(directions, output, content_mask)
    theirs = _regions(directions, style, style_mask)
    theirs = theirs * len(ours) if len(theirs) == 1 else theirs
    values = [_weighted_distance(*pair) for pair in zip(ours, theirs, strict=True)]
    return torch.tensor(values, dtype=torch.promote_types(output.dtype, torch.float32), device=output.device)


def feature_distance(output: Features, content: Features) -> torch.Tensor:
    """Content: mean over taps and cells of `|f/|f| - g/|g||^2`, f and g the features of a cell.

    The form of LPIPS, unlearned: no weights fitted to people's judgements scale the channels, so its values are not
    those of LPIPS. It sees colours as well as structure: a good look changes it too.

    Args:
        output: features by tap, each `(B, C, h, w)`.
        content: the same shapes.

    Returns:
        `(B,)` in [0, 4].

    Raises:
        InputError: other taps or shapes.

    Reference:
        Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, eq. 1.
    """
    _check_taps(output, content)
    distances = []
    for tap, features in output.items():
        check_shape(f"content[{tap!r}]", content[tap], features.shape)
        ours, theirs = (maps / maps.norm(dim=1, keepdim=True).clamp_min(1e-10) for maps in (features, content[tap]))
        distances.append((ours - theirs).square().sum(1).mean((1, 2)))
    return torch.stack(distances).mean(0)


def lab(image: torch.Tensor) -> torch.Tensor:
    """CIELAB of an sRGB-encoded image, D65; in float32 at least.

    Args:
        image: `(B, 3, H, W)` in [0, 1].

    Returns:
        `(B, 3, H, W)`: L in [0, 100], a and b.
    """
    check_image("image", image)
    image = image.to(torch.promote_types(image.dtype, torch.float32))
    matrix = image.new_tensor(_TO_XYZ) / image.new_tensor(_WHITE)[:, None]
    with torch.autocast(image.device.type, enabled=False):
        xyz = torch.einsum("ij,bjhw->bihw", matrix, rgb_to_linear_rgb(image))
    # The clamp is for the root's slope at 0; the line below serves there.
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp_min(1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


_Regions = dict[int, tuple[float, torch.Tensor]]


def _regions(directions: torch.Tensor, image: torch.Tensor, mask: torch.Tensor | None) -> list[_Regions]:
    """For each image, by label: share of the image, and quantiles along each direction as columns."""
    colors = lab(image).flatten(2)
    inside = colors.new_ones(colors[:, :1].shape, dtype=torch.bool) if mask is None else mask.flatten(2) > 0.5
    levels = torch.linspace(0.005, 0.995, NUM_QUANTILES, device=colors.device).to(colors.dtype)
    directions = directions.to(colors.dtype)
    found: list[_Regions] = []
    for pixels, labels in zip(colors, inside, strict=True):
        regions = {}
        for label, chosen in enumerate(labels):
            share = chosen.float().mean().item()
            if share >= MIN_SHARE:
                values = directions @ pixels[:, chosen]
                count = min(values.shape[1], MAX_SAMPLES)
                thinned = torch.linspace(0, values.shape[1] - 1, count).long().to(values.device)
                regions[label] = share, torch.quantile(values[:, thinned], levels, dim=1)
        found.append(regions)
    return found


def _weighted_distance(ours: _Regions, theirs: _Regions) -> float:
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return torch.nan
    distances = [ours[label][0] * (ours[label][1] - theirs[label][1]).abs().mean().item() for label in common]
    return sum(distances) / sum(ours[label][0] for label in common)


def _check_taps(first: Features, second: Features) -> None:
    if not first or first.keys() != second.keys():
        raise InputError(f"features: expected the same taps twice, got {list(first)} and {list(second)}")
