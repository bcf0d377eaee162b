"""Metrics that compare output and style region by region, and a distance between features of output and content."""

import torch
from kornia.color import rgb_to_linear_rgb

from lookcast.checks import InputError, check_floating, check_image, check_mask, check_shape
from lookcast.ops.gram import gram_matrix, relative_distance
from lookcast.ops.masks import resize_mask
from lookcast.ops.precision import full_precision, full_type, no_autocast
from lookcast.ops.regions import MIN_SHARE, check_mask_pair, label_shares
from lookcast.structures import Features

NUM_DIRECTIONS, NUM_QUANTILES, MAX_SAMPLES = 32, 256, 60_000
"""Settings of `sliced_wasserstein`: number of directions in Lab, number of quantiles from .005 to .995, and maximum
number of pixels per region."""

# CIE matrix from the primaries of sRGB and the white D65. kornia's rgb_to_lab rounds the matrix to six digits and uses
# a white that does not match the matrix. This mismatch changes the distance of a region by up to .0008.
_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)


def gram_distance(
    output: Features,
    style: Features,
    content_mask: torch.Tensor | None = None,
    style_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the mean relative distance between the Gram matrices of output and style.

    The mean runs over the labels, weighted by area, and over the taps. The distance of a tap is
    `sum_k w_k |G_k[O] - G_k[S]| / |G_k[S]| / sum_k w_k`. G_k is the Gram matrix of label k in output O or style S, and
    w_k is the share of label k in the content. G_k also holds the means of the features. Two differences from
    `losses.style.SegmentedStyleLoss`:

    * A label absent from one of the photos is left out, because published methods do not use lookcast's fallback to the
      whole style photo.
    * The shares w_k are computed at the resolution of the tap.

    Args:
        output: for each tap, the features of the output, `(B, C, h, w)`.
        style: for each tap of `output`, the features of the style photo; the batch size is 1 or B.
        content_mask: `(B, K, H, W)`. The regions of the output are the regions of the content.
        style_mask: `(1 or B, K, H', W')`; required with `content_mask`. Without masks, each photo is one region.

    Returns:
        `(B,)`; NaN for photos without a common label.

    Raises:
        InputError: the taps differ, only one mask is given, or the numbers of labels differ.

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
        share, style_share = (
            label_shares(resize_mask(mask.to(distance.dtype), maps.shape[-2:]))
            for mask, maps in ((content_mask, features), (style_mask, style[tap]))
        )
        weight = share * ((share >= MIN_SHARE) & (style_share >= MIN_SHARE))
        distances.append((distance * weight).sum(1) / weight.sum(1))
    return torch.stack(distances).mean(0)


def sliced_wasserstein(
    output: torch.Tensor,
    style: torch.Tensor,
    content_mask: torch.Tensor | None = None,
    style_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the sliced Wasserstein distance between the colours of output and style, in CIELAB (D65).

    The distance is computed for each label and averaged over the labels, weighted by area. The distance of a label is
    the mean absolute difference between 256 quantiles of the colours in its two regions, along 32 fixed directions. A
    pixel belongs to a label if the mask of the label is above .5. Regions of more than 60,000 pixels are subsampled
    evenly.

    Args:
        output: `(B, 3, H, W)` in [0, 1].
        style: `(1 or B, 3, H', W')` in [0, 1].
        content_mask: `(B, K, H, W)`; None stands for no mask.
        style_mask: `(1 or B, K, H', W')`; required with `content_mask`. Without masks, each photo is one region.

    Returns:
        `(B,)` in Lab units; NaN for photos without a common label.

    Raises:
        ShapeError: `output` or `style` is not an image, or a mask differs in size from its photo.
        InputError: only one mask is given, or the numbers of labels differ.

    Reference:
        Rabin et al., "Wasserstein Barycenter and Its Application to Texture Mixing", SSVM 2011.
    """
    check_image("output", output)
    check_shape("style", style, (output.shape[0] if style.shape[0] != 1 else 1, 3, "H", "W"))
    check_floating("style", style)
    check_mask_pair(content_mask, style_mask)
    if content_mask is not None and style_mask is not None:
        check_mask("content_mask", content_mask, output)
        check_mask("style_mask", style_mask, style)
    directions = torch.randn(
        NUM_DIRECTIONS, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu"
    )
    directions = (directions / directions.norm(dim=1, keepdim=True)).to(output.device)
    of_output = _regions(directions, output, content_mask)
    of_style = _regions(directions, style, style_mask)
    of_style = of_style * len(of_output) if len(of_style) == 1 else of_style
    values = [_weighted_distance(*pair) for pair in zip(of_output, of_style, strict=True)]
    return torch.tensor(values, dtype=full_type(output), device=output.device)


def feature_distance(output: Features, content: Features) -> torch.Tensor:
    """Return the mean over taps and cells of `|f/|f| - g/|g||^2`, with features f of the output and g of the content.

    This distance is LPIPS without the learned channel weights, so the values differ from LPIPS. The distance is
    sensitive to colours as well as to structure, so a good style transfer also has a distance above 0.

    Args:
        output: for each tap, the features of the output, `(B, C, h, w)`.
        content: for each tap, the features of the content, in the same shape.

    Returns:
        `(B,)` in [0, 4].

    Raises:
        InputError: the taps or shapes differ, or the features are no floating point or empty.

    Reference:
        Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, eq. 1.
    """
    _check_taps(output, content)
    distances = []
    for tap, features in output.items():
        check_floating(f"output[{tap!r}]", features)
        check_shape(f"content[{tap!r}]", content[tap], features.shape)
        check_floating(f"content[{tap!r}]", content[tap])
        first, second = (maps / maps.norm(dim=1, keepdim=True).clamp_min(1e-10) for maps in (features, content[tap]))
        distances.append((first - second).square().sum(1).mean((1, 2)))
    return torch.stack(distances).mean(0)


def lab(image: torch.Tensor) -> torch.Tensor:
    """Convert an sRGB-encoded image to CIELAB (D65), in float32 at least.

    Args:
        image: `(B, 3, H, W)` in [0, 1].

    Returns:
        `(B, 3, H, W)`: L in [0, 100], a and b.
    """
    check_image("image", image)
    image = full_precision(image)
    matrix = image.new_tensor(_TO_XYZ) / image.new_tensor(_WHITE)[:, None]
    with no_autocast(image):
        xyz = torch.einsum("ij,bjhw->bihw", matrix, rgb_to_linear_rgb(image))
    # The cube root has an infinite slope at 0. `where` takes the linear branch there; the clamp keeps gradients finite.
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp_min(1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


_Regions = dict[int, tuple[float, torch.Tensor]]


def _regions(directions: torch.Tensor, image: torch.Tensor, mask: torch.Tensor | None) -> list[_Regions]:
    """Return a dict for each image, from each present label to its share of the image and its quantiles.

    The quantiles of the colours along the directions are `(quantiles, directions)`.
    """
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


def _weighted_distance(output: _Regions, style: _Regions) -> float:
    common = sorted(output.keys() & style.keys())
    if not common:
        return torch.nan
    distances = [output[label][0] * (output[label][1] - style[label][1]).abs().mean().item() for label in common]
    return sum(distances) / sum(output[label][0] for label in common)


def _check_taps(first: Features, second: Features) -> None:
    if not first or first.keys() != second.keys():
        raise InputError(f"features: expected the same taps for both images, got {list(first)} and {list(second)}")
