"""Arguments of the functions that `cases` lists."""

from collections.abc import Callable
from typing import Any

import torch

from lookcast.ops.transport import color_moments
from tests.properties.tensors import Source

Arguments = dict[str, Any]


def one_image(source: Source) -> Arguments:
    return {"image": source.image(source.size(0, 2), source.size(0, 9), source.size(0, 9))}


def two_images(first: str, second: str, low: int, high: int, **further: Any) -> Callable[[Source], Arguments]:
    """Return a function that draws two images of one size, of at least `low` pixels per side in most calls."""

    def arguments(source: Source) -> Arguments:
        low_side = source.one_of(low, low, low, 1)
        size = source.size(0, 2), source.size(low_side, high), source.size(low_side, high)
        return {first: source.image(*size), second: source.image(*size), **further}

    return arguments


def grid_and_image(source: Source) -> Arguments:
    batch = source.size(0, 2)
    cells = source.size(0, 3), source.size(0, 4), source.size(0, 4)
    image = source.image(batch, source.size(0, 9), source.size(0, 9))
    return {"grid": source.tensor(batch, 12, *cells, low=-2, high=2), "image": image}


def grid_guide_image(source: Source) -> Arguments:
    made = grid_and_image(source)
    batch, _, height, width = made["image"].shape
    return {**made, "guide": source.tensor(batch, 1, height, width)}


def grid_and_guide(source: Source) -> Arguments:
    made = grid_guide_image(source)
    del made["image"]
    return made


def grid_and_guides(source: Source) -> Arguments:
    made = grid_and_image(source)
    image = made.pop("image")
    return {**made, "guides": source.tensor(image.shape[0], source.size(0, 3), *image.shape[2:])}


def grid_and_images(source: Source) -> Arguments:
    made = grid_and_image(source)
    image = made.pop("image")
    return {**made, "images": source.tensor(image.shape[0], source.size(0, 3), *image.shape[1:])}


def image_and(name: str, channels: int) -> Callable[[Source], Arguments]:
    """Return a function that draws an image, and a map of its size with other channels."""

    def arguments(source: Source) -> Arguments:
        image = one_image(source)["image"]
        batch, _, height, width = image.shape
        return {"image": image, name: source.tensor(batch, channels, height, width)}

    return arguments


def pixels(source: Source) -> torch.Tensor:
    return source.tensor(source.size(0, 9), source.size(0, 9), 3)


def grid_and_pixels(source: Source) -> Arguments:
    return {"pixels": pixels(source), "grid": source.tensor(12, 2, 3, 4, low=-2, high=2, dtype=torch.float32)}


def nearest(source: Source) -> Arguments:
    batch, channels = source.size(0, 2), source.size(0, 3)
    points = source.tensor(batch, source.size(0, 6), channels)
    return {"points": points, "centers": source.tensor(batch, source.size(0, 3), channels)}


def far_apart(source: Source, batch: int, channels: int) -> torch.Tensor:
    """Points in two groups, so that rounding changes no assignment."""
    count = source.size(2, 6)
    near = source.tensor(batch, count, channels)
    groups = 100 * (torch.arange(count) % 2)[:, None]
    return source.layout((near.double() + groups).to(near.dtype))


def two_clusters(source: Source) -> Arguments:
    points = far_apart(source, source.size(1, 2), source.size(1, 3))
    weights = torch.ones(points.shape[:2], dtype=source.dtype)
    return {"points": points, "weights": source.layout(weights), "num_clusters": 2}


def two_joint_clusters(source: Source) -> Arguments:
    batch, channels = source.size(1, 2), source.size(1, 3)
    content, style = (far_apart(source, batch, channels) for _ in range(2))
    return {"content": content, "style": style, "num_clusters": 2}


def color_pairs(source: Source, **further: Any) -> Arguments:
    count = source.size(0, 40)
    return {"source": source.tensor(count, 3), "target": source.tensor(count, 3), **further}


def maps(source: Source, batch: int) -> dict[str, torch.Tensor]:
    """Features of two taps."""
    size = source.size(1, 3), source.size(0, 5), source.size(0, 5)
    return {"a": source.tensor(batch, *size, low=-2, high=2), "b": source.tensor(batch, 2, 1, 2, low=-2, high=2)}


def like(features: dict[str, torch.Tensor], source: Source) -> dict[str, torch.Tensor]:
    return {tap: source.tensor(*values.shape, low=-2, high=2) for tap, values in features.items()}


def two_maps(source: Source) -> Arguments:
    output = maps(source, source.size(0, 2))
    return {"output": output, "content": like(output, source)}


def two_masks(source: Source, batch: int) -> Arguments:
    if source.one_of(True, False):
        return {"content_mask": None, "style_mask": None}
    labels = source.size(0, 3)
    sizes = [(source.size(0, 12), source.size(0, 12)) for _ in range(2)]
    return {
        "content_mask": source.mask(batch, labels, *sizes[0]),
        "style_mask": source.mask(batch, labels, *sizes[1]),
    }


def maps_and_masks(source: Source) -> Arguments:
    batch = source.size(0, 2)
    output = maps(source, batch)
    return {"output": output, "style": like(output, source), **two_masks(source, batch)}


def output_and_style(source: Source) -> Arguments:
    # ColorLoss resizes masks to 6 x 6. At up to 9 x 9, it averages 1, 2 or 4 pixels, which is exact. Thirds, of larger
    # masks, would be rounded, and a quantile between two pixels would fall on either of them.
    batch = source.size(0, 2)
    size, style_size = ((source.size(0, 9), source.size(0, 9)) for _ in range(2))
    made = {"output": source.image(batch, *size), "style": source.image(1, *style_size)}
    if source.one_of(False, True):
        made |= {"content_mask": source.mask(batch, 2, *size), "style_mask": source.mask(1, 2, *style_size)}
    return made


def one_mask(source: Source) -> torch.Tensor:
    return source.mask(source.size(0, 2), source.size(0, 10), source.size(0, 7), 5)


def two_moments(source: Source) -> Arguments:
    """Colour moments of four random pixels."""
    moments = []
    for _ in range(2):
        image = source.tensor(1, 3, 2, 2, dtype=torch.float64)
        moments.append(source.layout(color_moments(image).mean((2, 3)).to(source.dtype)))
    return {"content": moments[0], "style": moments[1], "floor": torch.full((3,), 0.125)}


def statistics(source: Source) -> Arguments:
    batch, labels = source.size(0, 2), source.size(0, 3)
    regions, whole = source.tensor(batch, labels, 4), source.tensor(batch, 1, 4)
    return {"regions": regions, "whole": whole, "style_shares": source.tensor(batch, labels)}


def whole_loss(source: Source) -> Arguments:
    batch = source.size(1, 2)
    image, output = source.image(batch, 18, 17), source.image(batch, 18, 17)
    content = maps(source, batch)
    style = {tap: values[:1] for tap, values in like(content, source).items()}
    return {
        "image": image, "style": source.image(1, 6, 7), "stylized": output, "truth": source.one_of(None, image),
        "grid": source.tensor(batch, 12, 2, 3, 1), "features": [content, like(content, source), style],
    }  # fmt: skip


def positive_matrices(source: Source) -> Arguments:
    one = torch.ones(source.size(0, 3), dtype=source.dtype)
    return {"matrix": (4 * one, one, 3 * one, one, one, 2 * one), "pivot": lambda square, row: square}
