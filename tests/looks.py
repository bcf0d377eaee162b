"""Generators with a visible look, for the tests of inference and of the command line."""

from pathlib import Path

import numpy as np
import torch

from lookcast.checkpoints import save_checkpoint
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import GENERATORS, FixedStyleGenerator, Generator, PairGenerator, UniversalGenerator
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.masks import resize_mask
from lookcast.structures import Stylization

SMALL = {
    "bilateral": {"depth": 4, "height": 4, "width": 4, "channels": 16, "blocks": 1, "thumbnail": 64},
    "transform": {"channels": 4, "blocks": 1},
}
"""Arguments of generators with a single look."""
ALL_PARTS = {"ground_channels": 8, "tone_steps": 16, "solver_steps": 2, "robust_steps": 3, "mask_blur": 1, "scenes": 1}
"""Arguments that give a universal generator its optional parts, which older checkpoints lack."""
NO_PARTS = dict.fromkeys(ALL_PARTS, 0)
UNIVERSAL = {"depth": 8, "channels": 8, "blocks": 1, "heads": 1, "head_width": 4, "regions": 2} | NO_PARTS
"""Arguments of a universal generator."""


def look(name: str = "bilateral", seed: int = 0) -> Generator:
    """Return a small generator with a visible look: a new one is the identity, so its head is changed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = GENERATORS[name](**SMALL[name])
        torch.nn.init.normal_(generator.head.weight, std=0.02)
        torch.nn.init.normal_(generator.head.bias, std=0.15)
    return generator.eval()


def save_look(path: Path, name: str = "bilateral", seed: int = 0) -> Path:
    """Save the checkpoint of `look`."""
    save_checkpoint(path, look(name, seed), {"licence": "test"})
    return path


def universal_look(seed: int = 0, **arguments: int) -> UniversalGenerator:
    """Return a small universal generator with noise on every parameter, so that each of them matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = UniversalGenerator(CompactEncoder(), **(UNIVERSAL | arguments))
        for parameter in generator.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    return generator.eval()


def save_universal(path: Path, seed: int = 0) -> Path:
    """Save the checkpoint of `universal_look`."""
    save_checkpoint(path, universal_look(seed), {"licence": "test"})
    return path


def baked_look(style: torch.Tensor, seed: int = 0) -> FixedStyleGenerator:
    """Return `universal_look` with a fixed style photo `(1, 3, H, W)`."""
    return FixedStyleGenerator.from_universal(universal_look(seed), style).eval()


class MeanColor(PairGenerator):
    """A universal look with known values: pixels of label 1 take the mean colour of the style's pixels of label 1.

    Without masks, all pixels count as label 1.

    Attributes:
        read_photos: every photo that was read, in order.
    """

    name, arguments = "mean", {}
    mask_side = 96
    thumbnail = 96  # the width of the photo in the tests, so that borders of its halves are borders of cells

    def __init__(self):
        super().__init__()
        self.read_photos = []

    def read(self, photo, mask=None):
        assert torch.is_inference_mode_enabled()
        self.read_photos.append(photo)
        where = torch.ones_like(photo[:, :1]) if mask is None else resize_mask(mask[:, 1:2], photo.shape[-2:])
        return (photo * where).sum((2, 3)) / where.sum((2, 3)), where

    def predict_grid(self, content, style):
        _, where = content
        color, _ = style
        # Outside the mask, the content stays; inside it, the output is the style's mean colour.
        transform = torch.cat([torch.zeros(len(color), 3, 3), color[..., None]], 2).flatten(1)
        identity = identity_grid(len(where), 1, *where.shape[-2:])
        return torch.lerp(identity, transform[..., None, None, None].expand_as(identity), where[:, None])


class Negative(Generator):
    """A generator with known values: the negative, which leaves [0, 1] by a tenth."""

    name, takes_style, arguments = "negative", False, {}

    def stylize(self, content, style, content_mask, style_mask):
        assert not self.training
        assert torch.is_inference_mode_enabled()
        assert content.dtype == torch.float32
        return Stylization(1.1 - 1.2 * content)


def negative(values):
    """Return the output of `Negative` for content in [0, 1], clamped."""
    return np.clip(1.1 - 1.2 * values, 0, 1)


def assert_same_levels(output, expected):
    """Compare integers that may be rounded either way, because another number of threads sums in another order."""
    difference = np.abs(np.asarray(output).astype(float) - expected)
    assert difference.max() <= 1
    assert difference.mean() < 0.1
