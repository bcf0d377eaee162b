"""A look as one graph, image tensors in and image tensor out: what is traced, and how a traced file is checked."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.checks import InputError
from lookcast.generators import Generator, PairGenerator
from lookcast.inference.styles import list_styles
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import AnyImage, open_image

BAR = 1e-4
"""Largest difference to PyTorch that is accepted: a fortieth of an 8-bit level, ten times what another order of
sums makes of photos."""
FREE = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
"""Dimensions of an image that a file leaves open."""
_FREE_STYLE = {2: torch.export.Dim("style_height"), 3: torch.export.Dim("style_width")}
_TRACED = (2, 3, 96, 64)
_SIZES = ((480, 640), (811, 607))


class FixedStyleGraph(nn.Module):
    """A single look: content `(B, 3, H, W)` in [0, 1] to the stylized image, clamped.

    Args:
        generator: with a single look, or a universal one.
        styles: for a universal one, what it read of the style photos, and their shares.
    """

    inputs: tuple[str, ...] = ("content",)

    def __init__(self, generator: Generator, styles: Sequence[tuple[Any, float]] = ()) -> None:
        super().__init__()
        self.generator, self.styles = generator, list(styles)

    def forward(self, content: torch.Tensor) -> torch.Tensor:
        """The stylized image, `(B, 3, H, W)`."""
        if isinstance(self.generator, PairGenerator):
            reading = self.generator.read(content)
            grids = [self.generator.predict_grid(reading, style) * weight for style, weight in self.styles]
            image = apply_grid(torch.stack(grids).sum(0), content)
        else:
            image = self.generator(content).image
        return image.clamp(0, 1)


class AnyStyleGraph(nn.Module):
    """A universal generator: content `(B, 3, H, W)` and style `(1, 3, h, w)`, both in [0, 1], to the image, clamped."""

    inputs = ("content", "style")

    def __init__(self, generator: PairGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """The stylized image, `(B, 3, H, W)`."""
        image: torch.Tensor = self.generator(content, style).image
        return image.clamp(0, 1)


def graph_of(
    stylizer: Stylizer, style: AnyImage | Sequence[AnyImage] | None = None, weights: Sequence[float] | None = None
) -> FixedStyleGraph | AnyStyleGraph:
    """What to export: the single look, a universal generator with its styles baked in, or one that takes any style.

    In float32, whatever the stylizer computes in.

    Raises:
        InputError: a style for a checkpoint with a single look, weights without styles.
    """
    generator = copy.deepcopy(stylizer.generator)
    if generator.needs_encoder:
        generator.encoder.half_precision = False
    if style is None and weights is not None:
        raise InputError("weights: given without the style photos they belong to")
    if not isinstance(generator, PairGenerator):
        if style is not None:
            generator.check_style(torch.empty(0), None, None)
        return FixedStyleGraph(generator).eval()
    if style is None:
        return AnyStyleGraph(generator).eval()
    photos = list_styles(style, None, weights)
    with torch.no_grad():
        thumbnails = [resize_pixels(photo.pixels[0], 2 * (generator.thumbnail,)) for photo in photos]
        readings = [
            (generator.read(thumbnail.to(stylizer.device)), photo.weight)
            for thumbnail, photo in zip(thumbnails, photos, strict=True)
        ]
    return FixedStyleGraph(generator, readings).eval()


def example(
    graph: FixedStyleGraph | AnyStyleGraph, device: torch.device
) -> tuple[tuple[torch.Tensor, ...], tuple[dict[int, Any], ...]]:
    """Inputs to trace a graph with, and their free dimensions."""
    images, free = (_noise(_TRACED, device), _noise((1, 3, 64, 96), device)), (FREE, _FREE_STYLE)
    return images[: len(graph.inputs)], free[: len(graph.inputs)]


def check_same(
    run: Callable[..., torch.Tensor],
    graph: FixedStyleGraph | AnyStyleGraph,
    device: torch.device,
    photos: Sequence[AnyImage] = (),
) -> float:
    """Compare what a written file gives with the graph, at two sizes that it was not traced with.

    Args:
        run: the file: tensors in, tensor out.
        graph: what it was made from.
        device: of the graph.
        photos: to compare on, beside a random image with the spectrum of photographs.

    Returns:
        The largest difference of any value.

    Raises:
        RuntimeError: it is larger than `BAR`.
    """
    largest = 0.0
    for number, size in enumerate(_SIZES):
        images = [_noise((1 + number, 3, *size), device)]
        images += [resize_pixels(open_image("photo", photo).pixels[0], size).to(device) for photo in photos]
        for image in images:
            inputs = (image.contiguous(), images[-1][:1].flip(1).contiguous())[: len(graph.inputs)]
            with torch.no_grad():
                difference = (run(*inputs).to(device) - graph(*inputs)).abs().max().item()
            if not difference <= BAR:  # written so that NaN is refused
                raise RuntimeError(f"the exported file differs from PyTorch by {difference:.2g}; accepted is {BAR:g}")
            largest = max(largest, difference)
    return largest


def metadata(stylizer: Stylizer) -> dict[str, str]:
    """What a file says about itself: the checkpoint's whole header as JSON, as the checkpoint has it, and its terms."""
    licence = stylizer.header.get("licence")
    terms = {} if licence is None else {"licence": str(licence)}
    return {"lookcast": json.dumps(stylizer.header), **terms}


def _noise(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Random images with as much contrast at every scale, like photographs; the same in every run."""
    generator = torch.Generator().manual_seed(0)
    batch, channels, height, width = shape
    image = torch.zeros(shape)
    for cells in (2, 8, 32, 128):
        octave = torch.rand(batch, channels, cells, cells, generator=generator)
        image += F.interpolate(octave, (height, width), mode="bilinear") / 4
    return ((image - 0.5) * 2 + 0.5).clamp(0, 1).to(device)
