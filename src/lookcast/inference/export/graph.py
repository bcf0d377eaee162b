"""Modules that `export_onnx` and `export_pt2` trace, and a function that compares an exported file with PyTorch."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.checks import InputError
from lookcast.generators import Generator, PairGenerator
from lookcast.inference.styles import Style, open_style, style_inputs
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.resize import resize_pixels
from lookcast.photos.adapters import AnyImage, open_image

MAX_DIFFERENCE = 1e-4
"""Largest accepted difference between the outputs of an exported file and of PyTorch: 1/40 of an 8-bit level. Another
order of floating-point sums changes the outputs by a tenth of this value."""
DYNAMIC = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
"""The dynamic dimensions of the content, whose sizes may vary in an exported file. The keys are dimension indices."""
_DYNAMIC_STYLE = {2: torch.export.Dim("style_height"), 3: torch.export.Dim("style_width")}
_TRACED = (2, 3, 96, 64)
_SIZES = ((480, 640), (811, 607))


class FixedStyleGraph(nn.Module):
    """Module that gives photos a fixed style.

    The input is the content `(B, 3, H, W)` in [0, 1]. The output is the stylized image, clamped to [0, 1].

    Args:
        generator: single-look or universal generator.
        styles: for a universal generator, a pair (statistics, weight) for each style photo.
    """

    inputs: tuple[str, ...] = ("content",)

    def __init__(self, generator: Generator, styles: Sequence[tuple[Any, float]] = ()) -> None:
        super().__init__()
        self.generator, self.styles = generator, list(styles)

    def forward(self, content: torch.Tensor) -> torch.Tensor:
        """Return the stylized image, `(B, 3, H, W)`."""
        if isinstance(self.generator, PairGenerator):
            statistics = self.generator.read(content)
            grids = [self.generator.predict_grid(statistics, style) * weight for style, weight in self.styles]
            image = apply_grid(torch.stack(grids).sum(0), content)
        else:
            image = self.generator(content).image
        return image.clamp(0, 1)


class AnyStyleGraph(nn.Module):
    """Module that takes the style photo as its second input.

    The inputs are the content `(B, 3, H, W)` and the style `(1, 3, h, w)`, both in [0, 1]. The output is the stylized
    image, clamped to [0, 1].
    """

    inputs = ("content", "style")

    def __init__(self, generator: PairGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return the stylized image, `(B, 3, H, W)`."""
        image: torch.Tensor = self.generator(content, style).image
        return image.clamp(0, 1)


def graph_of(stylizer: Stylizer, style: Style | None = None) -> FixedStyleGraph | AnyStyleGraph:
    """Build the module to export. The module computes in float32, even if the stylizer uses bfloat16.

    Args:
        stylizer: the loaded checkpoint.
        style: one or more fixed styles without masks, for a universal checkpoint. None makes the style an input.

    Raises:
        InputError: a single-look checkpoint gets a style, or a style has a mask.
    """
    generator = copy.deepcopy(stylizer.generator)
    if generator.needs_encoder:
        generator.encoder.half_precision = False
    if not isinstance(generator, PairGenerator):
        if style is not None:
            generator.check_style(style, None, None)
        return FixedStyleGraph(generator).eval()
    if style is None:
        return AnyStyleGraph(generator).eval()
    styles = style_inputs(style)
    if any(each.mask is not None for each in styles):
        raise InputError("style: has a mask, but exported files have no masks")
    with torch.no_grad():
        size = (generator.thumbnail, generator.thumbnail)
        thumbnails = [resize_pixels(open_style(each.photo)[0], size).to(stylizer.device) for each in styles]
        encoded = [(generator.read(photo), each.weight) for photo, each in zip(thumbnails, styles, strict=True)]
    return FixedStyleGraph(generator, encoded).eval()


def example(
    graph: FixedStyleGraph | AnyStyleGraph, device: torch.device
) -> tuple[tuple[torch.Tensor, ...], tuple[dict[int, Any], ...]]:
    """Return example inputs for tracing a graph, and the dynamic dimensions of each input."""
    images, dynamic = (_noise(_TRACED, device), _noise((1, 3, 64, 96), device)), (DYNAMIC, _DYNAMIC_STYLE)
    return images[: len(graph.inputs)], dynamic[: len(graph.inputs)]


def check_same(
    run: Callable[..., torch.Tensor],
    graph: FixedStyleGraph | AnyStyleGraph,
    device: torch.device,
    photos: Sequence[AnyImage] = (),
) -> float:
    """Run an exported file and its graph on the same images, and compare the outputs.

    The images have two sizes, which differ from the traced size.

    Args:
        run: function that runs the exported file on tensors and returns a tensor.
        graph: the graph from which the file was exported.
        device: device of the graph.
        photos: photos for the comparison, in addition to a random image that has a spectrum like a photograph.

    Returns:
        The largest absolute difference between corresponding values of the two outputs.

    Raises:
        RuntimeError: the difference is larger than `MAX_DIFFERENCE`.
    """
    largest = 0.0
    for number, size in enumerate(_SIZES):
        images = [_noise((1 + number, 3, *size), device)]
        images += [resize_pixels(open_image("photo", photo).pixels[0], size).to(device) for photo in photos]
        for image in images:
            inputs = (image.contiguous(), images[-1][:1].flip(1).contiguous())[: len(graph.inputs)]
            with torch.no_grad():
                difference = (run(*inputs).to(device) - graph(*inputs)).abs().max().item()
            if not difference <= MAX_DIFFERENCE:  # this form also refuses NaN
                raise RuntimeError(
                    f"the exported file differs from PyTorch by {difference:.2g}; the limit is {MAX_DIFFERENCE:g}"
                )
            largest = max(largest, difference)
    return largest


def metadata(stylizer: Stylizer) -> dict[str, str]:
    """Return the metadata of an exported file: the full header of the checkpoint as JSON, and the licence."""
    licence = stylizer.header.get("licence")
    terms = {} if licence is None else {"licence": str(licence)}
    return {"lookcast": json.dumps(stylizer.header), **terms}


def _noise(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return random images with equal contrast at every scale, like photographs. The random seed is fixed."""
    generator = torch.Generator().manual_seed(0)
    batch, channels, height, width = shape
    image = torch.zeros(shape)
    for cells in (2, 8, 32, 128):
        octave = torch.rand(batch, channels, cells, cells, generator=generator)
        image += F.interpolate(octave, (height, width), mode="bilinear") / 4
    return ((image - 0.5) * 2 + 0.5).clamp(0, 1).to(device)
