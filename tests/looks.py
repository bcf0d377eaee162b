"""Generators with a visible look, for the tests of inference and of the command line."""

from pathlib import Path

import numpy as np
import torch

from lookcast.generators import GENERATORS, Generator
from lookcast.inference.checkpoint import save_checkpoint
from lookcast.structures import Stylization

SMALL = {
    "bilateral": {"depth": 4, "height": 4, "width": 4, "channels": 16, "blocks": 1, "thumbnail": 64},
    "transform": {"channels": 4, "blocks": 1},
}


def look(name: str = "bilateral", seed: int = 0) -> Generator:
    """A small generator with a visible look: a fresh one is the identity, so its head is moved away from that."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = GENERATORS[name](**SMALL[name])
        torch.nn.init.normal_(generator.head.weight, std=0.02)
        torch.nn.init.normal_(generator.head.bias, std=0.15)
    return generator.eval()


def save_look(path: Path, name: str = "bilateral", seed: int = 0) -> Path:
    """The checkpoint of `look`."""
    save_checkpoint(path, look(name, seed), {"licence": "test"})
    return path


class Negative(Generator):
    """A look whose every value is known: the negative, overshooting by a tenth."""

    name, takes_style, arguments = "negative", False, {}

    def forward(self, content, style=None, content_mask=None, style_mask=None):
        self.check_style(style, content_mask, style_mask)
        assert not self.training
        assert torch.is_inference_mode_enabled()
        assert content.dtype == torch.float32
        return Stylization(1.1 - 1.2 * content)


def negative(values):
    """What `Negative` gives for content in [0, 1], clamped."""
    return np.clip(1.1 - 1.2 * values, 0, 1)
